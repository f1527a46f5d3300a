package gmail_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
)

// Thousands of random steps in a mailbox, while pages are read, commits are lost
// and tokens expire, end with exactly the events that an oracle expects.
func TestRandom(t *testing.T) {
	t.Parallel()
	const steps = 600
	for seed := range uint64(5) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			google := newGoogle(t)
			w := newWorld(t, google, seed)
			r := newRig(t, google, alice, "gmail.*")
			read := func(lose bool) {
				out, err := r.c.Expand(t.Context(), r.s, r.sub, nil)
				w.ok(err)
				if !lose {
					r.commit(out)
				}
			}
			for range steps {
				switch w.rnd.IntN(16) {
				case 0:
					google.ExpireTokens()
				case 1:
					google.SetPageSize(1 + w.rnd.IntN(4))
				case 2:
					read(true)
				case 3:
					read(false)
				default:
					w.happens()
				}
			}
			r.catchUp()
			seen := func(h happening) bool { return r.seen[h] }
			all := slices.Collect(maps.Keys(r.seen))
			list := make([]happening, len(all))
			for i, h := range all {
				list[i] = h
			}
			w.judge(seen, list)
			if len(w.must) < steps/10 {
				t.Errorf("only %d events", len(w.must))
			}
		})
	}
}
