package daemon_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/imgspecd/imgspecd/api"
)

// BenchmarkReadyImage asks for an image that is ready, with the Go client over
// the socket. The 99th percentile is the figure that counts: it should stay under 2 ms.
func BenchmarkReadyImage(b *testing.B) {
	img := api.Image{Name: "localhost:5000/churn:tag", State: api.Ready, Targets: make([]api.TargetState, 3)}
	d := serve(b, &fake{findImage: func(context.Context, string) (api.Image, error) { return img, nil }})
	var took []time.Duration
	for b.Loop() {
		start := time.Now()
		if _, err := d.client.Image(b.Context(), "localhost:5000/churn:tag", 0); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}
