// Package store is what imgspecd remembers: records, blobs, and the OCI layout made of them.
//
// Everything lies in one state directory, on one file system:
//
//	imgspecd.db            records (bbolt); its lock means "one daemon"
//	oci-layout, index.json, blobs/sha256/
//	                       a plain OCI layout: layers, configs and manifests by digest
//	wheels/                downloaded files, by hash (written by index)
//	logs/                  one file per build
//	tmp/                   where everything is born
//
// A blob is hashed while it is written, synced, and renamed to its digest; the
// directory is synced before Commit returns. A record is written after the blob
// it names, so a record means that its blob is durable. Layer asks the disk all
// the same, because people delete files and power cuts truncate them.
//
// It never decides what is worth keeping, never talks to the network, and never
// shows a half-written file under its final name.
package store
