// Package integration proves what imgspecd promises, on the binary as users have
// it and with the real others: uv, flytekit, Docker, a registry, skopeo.
//
// It reaches imgspecd only through its commands and its socket. What the machine
// must have is named by IMGSPECD_TEST_* variables (test/run sets them); a test
// whose variable is unset skips with one line, or fails if IMGSPECD_TEST_REQUIRE
// is set, so that CI leaves nothing out unseen.
package integration
