// Package wheel says what a wheel installs, without unpacking it.
//
//	Open     reads the archive's directory, strictly: every header must agree with
//	         every other, and every byte must belong to exactly one thing
//	Plan     lists what uv would install from it: the entries at their paths, and
//	         the files an installer makes (launchers, RECORD, INSTALLER, ...)
//	Raw      gives an entry's stream as it stands in the archive
//
// The reader is its own, not archive/zip, since two readers that differ about an
// archive are how a wheel shows one content to a scanner and another to an
// installer: whatever could be read in two ways is refused, with the entry and the
// reason. uv's installer is the model for all that is installed (0.13; where 0.5,
// which flytekit's default builder uses, differs, a comment says so).
//
// It never writes to disk, never runs anything, and inflates nothing but the few
// metadata files and scripts whose content decides what is installed.
package wheel
