// Package plan says what an image is made of, before anything is made.
//
// An image spec, what is in its base image, and the pinned packages become a Plan:
// the base, then layers in order, then the image's config. The lowest layer holds
// as files what flytekit's default builder executes for every image (system.go,
// account.go), the next the empty virtual environment (venv.go), the others the
// packages (packages.go). Every layer has a key that decides its bytes, so that
// what was made once, on any machine, need not be made again.
//
// The reference is the Dockerfile that flytekit 1.16 writes; where a plan differs,
// the comment at that place says why.
//
// It is pure: it reads no file, clock or environment, and makes no bytes of layers.
package plan
