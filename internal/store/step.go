package store

import "fmt"

// bucketSteps holds what steps left that were executed, by their keys.
const bucketSteps = "steps"

// StepRecord is what a step left.
type StepRecord struct {
	Layers []LayerRecord `json:",omitempty"` // lowest first
	Wheel  *WheelRecord  `json:",omitempty"` // of a step that made one
}

// WheelRecord is a wheel that was built here.
type WheelRecord struct {
	Filename string
	Digest   string // "sha256:<hex>", of the blob that is the wheel
	Size     int64
}

// Step returns what a step left, if all of it is still there.
func (s *Store) Step(key string) (StepRecord, bool) {
	r, ok := get[StepRecord](s, bucketSteps, key)
	if !ok || s.wholeStep(r) != nil {
		return StepRecord{}, false
	}
	return r, true
}

// PutStep remembers what a step left; its blobs must have been committed.
func (s *Store) PutStep(key string, r StepRecord) error {
	if err := s.wholeStep(r); err != nil {
		return fmt.Errorf("remember step %s: %w", key, err)
	}
	return put(s, bucketSteps, key, r)
}

func (s *Store) wholeStep(r StepRecord) error {
	for _, l := range r.Layers {
		if size, ok := s.Has(l.Digest); !ok || size != l.Size {
			return fmt.Errorf("its blob %s is not there", l.Digest)
		}
	}
	if w := r.Wheel; w != nil {
		if size, ok := s.Has(w.Digest); !ok || size != w.Size {
			return fmt.Errorf("its wheel %s is not there", w.Filename)
		}
	}
	return nil
}
