// Package builder makes a plan's layers and puts them on its base.
//
//	plan → which layers are not in the store → their wheels fetched, all at once, the
//	big ones first → each layer written as soon as its wheels are there (python.go,
//	files.go) → store → an image of the base's layers and these (image.go)
//
// A layer is remembered when its blob is durable, so what a canceled or failed
// build finished is not made again. The same layer is made once at a time, however
// many builds want it. The base's layers are not read.
//
// It never runs anything, and never asks what an image is for.
package builder
