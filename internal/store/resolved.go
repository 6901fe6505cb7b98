package store

// bucketResolved is a cache: the locks that were made of requirements that are not pinned.
const bucketResolved = "resolved"

// keepResolved is how many of them are kept. One that is gone is resolved anew, and may come out differently.
const keepResolved = 256

// Resolved returns the answer to a question of package resolve.
func (s *Store) Resolved(key string) ([]byte, bool) { return s.cached(bucketResolved, key) }

// PutResolved keeps the answer to a question of package resolve; old ones go.
func (s *Store) PutResolved(key string, b []byte) error {
	return s.cache(bucketResolved, key, b, keepResolved)
}
