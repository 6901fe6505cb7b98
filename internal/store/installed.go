package store

// bucketInstalled is a cache: what is in the environments of the images that were made here, by the image's digest.
const bucketInstalled = "installed"

// keepInstalled is how many of them are kept. An image whose entry is gone must be made again before another adds packages to it.
const keepInstalled = 1024

// Installed returns what is known of the environments of an image of ours.
func (s *Store) Installed(digest string) ([]byte, bool) { return s.cached(bucketInstalled, digest) }

// PutInstalled keeps what is in the environments of an image; old ones go.
func (s *Store) PutInstalled(digest string, b []byte) error {
	return s.cache(bucketInstalled, digest, b, keepInstalled)
}
