// Package api is what crosses imgspecd's socket: requests, responses, events and errors.
//
// The engine speaks these types too, so that no type is written twice: what a
// handler returns is what the engine said, and what the client decodes. JSON is
// the wire form; times are RFC 3339 in UTC, sizes are bytes, durations are
// milliseconds. Fields are only ever added within one version of the API.
//
// It imports only the standard library, and holds no behaviour but small
// questions about its own values.
package api

// Version is the version of the API, the first part of every route.
const Version = "v1"
