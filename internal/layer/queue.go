package layer

import (
	"errors"
	"sync"
)

const (
	ahead     = 4 // jobs in flight for each worker
	jobChunks = 8 // chunks that a worker makes before the writer takes them
)

// errStopped ends a worker's job after another one failed.
var errStopped = errors.New("layer is abandoned")

// queue runs jobs on workers and gives what they make to the output, in order.
// It never blocks for good: jobs are started in order, so the one that the output
// waits for always has a worker.
type queue struct {
	order chan *job
	jobs  chan *job
	stop  chan struct{} // closed at the first error
	once  sync.Once
	err   error // read after stop is closed
	wait  sync.WaitGroup
	pool  sync.Pool
}

func newQueue(o *output, workers int) *queue {
	q := &queue{
		order: make(chan *job, workers*ahead),
		jobs:  make(chan *job, workers*ahead),
		stop:  make(chan struct{}),
	}
	q.pool.New = func() any { return new(buffer) }
	q.wait.Go(func() { q.writer(o) })
	for range workers {
		q.wait.Go(q.worker)
	}
	return q
}

// submit takes the next job; it waits while the queue is full.
func (q *queue) submit(j *job) error {
	if j.raw != nil {
		j.chunks = make(chan chunk, jobChunks)
	}
	select {
	case q.order <- j:
	case <-q.stop:
		return q.err
	}
	if j.raw == nil {
		return nil
	}
	select {
	case q.jobs <- j:
		return nil
	case <-q.stop:
		return q.err
	}
}

// close waits for all that was submitted, and returns the first error.
func (q *queue) close() error {
	close(q.jobs)
	close(q.order)
	q.wait.Wait()
	return q.err
}

func (q *queue) fail(err error) {
	q.once.Do(func() {
		q.err = err
		close(q.stop)
	})
}

func (q *queue) worker() {
	k := worker{get: func() *buffer { return q.pool.Get().(*buffer) }}
	for j := range q.jobs {
		select {
		case <-q.stop:
			continue
		default:
		}
		j.err = k.process(j, func(j *job, c chunk) error {
			select {
			case j.chunks <- c:
				return nil
			case <-q.stop:
				return errStopped
			}
		})
		close(j.chunks)
	}
}

func (q *queue) writer(o *output) {
	for j := range q.order {
		select {
		case <-q.stop:
			continue
		default:
		}
		if err := q.write(o, j); err != nil {
			q.fail(err)
		}
	}
}

func (q *queue) write(o *output, j *job) error {
	if err := o.begin(j); err != nil || j.raw == nil {
		return err
	}
	for c := range j.chunks {
		err := o.block(j, c)
		if c.buf != nil {
			q.pool.Put(c.buf)
		}
		if err != nil {
			return err
		}
	}
	if j.err != nil {
		return j.err
	}
	return o.end(j)
}
