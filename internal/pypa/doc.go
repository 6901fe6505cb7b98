// Package pypa holds the standards of Python packaging that choosing a package needs, as pure functions:
// versions and specifiers (PEP 440), markers (PEP 508), compatibility tags (PEP 425, 600, 656),
// wheel file names (PEP 427) and names (PEP 503).
//
// An Environment gives the variables that a Marker is evaluated with (Markers) and the tags that a wheel must have
// one of (Tags). Where the standards leave room, it does as uv does, because uv's choice is what users compare with.
//
// It never reads a file, asks an interpreter or looks at the machine it runs on: an environment
// is what a base image says, not where imgspecd happens to run.
package pypa
