package storetest

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/interactorhq/interactor/api"
)

// API judges what a store keeps for package api.
func API(t *testing.T, open func(t *testing.T) api.Store) {
	t.Helper()
	for _, rule := range []struct {
		words string
		test  func(t *testing.T, s api.Store)
	}{
		{"an answer is claimed once, and then found as it is", answerClaimed},
		{"of many who claim at the same time one gets it", answerRace},
		{"a claim that was dropped, or has passed, is free again", answerFree},
		{"a complete answer is not dropped, and not completed again", answerKept},
	} {
		t.Run(rule.words, func(t *testing.T) {
			t.Parallel()
			rule.test(t, open(t))
		})
	}
}

func newClaim(key string) api.Answer {
	return api.Answer{ID: hash(key), Request: hash("request of " + key), Until: epoch().Add(time.Minute)}
}

func claimAnswer(t *testing.T, s api.Store, a api.Answer, now time.Time, want bool) api.Answer {
	t.Helper()
	there, claimed, err := s.ClaimAnswer(t.Context(), a, now)
	if err != nil || claimed != want {
		t.Fatalf("ClaimAnswer = %+v, %v, %v, want %v", there, claimed, err, want)
	}
	return there
}

func completeAnswer(t *testing.T, s api.Store, a api.Answer, body string) api.Answer {
	t.Helper()
	a.Status, a.Body, a.Until = 202, []byte(body), epoch().Add(24*time.Hour)
	if err := s.PutAnswer(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	return a
}

func sameAnswer(a, b api.Answer) bool {
	return bytes.Equal(a.ID, b.ID) && bytes.Equal(a.Request, b.Request) && a.Status == b.Status && bytes.Equal(a.Body, b.Body) && a.Until.Equal(b.Until)
}

func answerClaimed(t *testing.T, s api.Store) {
	a := newClaim("a")
	claimAnswer(t, s, a, epoch(), true)
	claimAnswer(t, s, newClaim("b"), epoch(), true)
	if got := claimAnswer(t, s, a, epoch(), false); !sameAnswer(got, a) {
		t.Errorf("being worked on: %+v, want %+v", got, a)
	}
	other := a
	other.Request = hash("another request")
	if got := claimAnswer(t, s, other, epoch(), false); !sameAnswer(got, a) {
		t.Errorf("asked for something else: %+v, want %+v", got, a)
	}
	a = completeAnswer(t, s, a, `{"id":"x"}`)
	if got := claimAnswer(t, s, newClaim("a"), epoch().Add(23*time.Hour), false); !sameAnswer(got, a) {
		t.Errorf("complete: %+v, want %+v", got, a)
	}
}

func answerRace(t *testing.T, s api.Store) {
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			_, claimed, err := s.ClaimAnswer(t.Context(), newClaim("a"), epoch())
			if err != nil {
				t.Error(err)
			}
			if claimed {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d of 16 claimed it, want 1", won.Load())
	}
}

func answerFree(t *testing.T, s api.Store) {
	a := newClaim("a")
	claimAnswer(t, s, a, epoch(), true)
	if err := s.DropAnswer(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	claimAnswer(t, s, a, epoch(), true)
	claimAnswer(t, s, a, epoch().Add(time.Minute-time.Millisecond), false)
	again := a
	again.Request, again.Until = hash("another request"), epoch().Add(2*time.Minute)
	claimAnswer(t, s, again, epoch().Add(time.Minute), true) // whoever had it has crashed
	completeAnswer(t, s, a, "late")                          // or has not, and lost it
	if got := claimAnswer(t, s, again, epoch().Add(time.Minute), false); !sameAnswer(got, again) {
		t.Errorf("after a late answer to a claim that was lost: %+v, want %+v", got, again)
	}
	for i := range 30 {
		claimAnswer(t, s, newClaim(string(rune('b'+i))), epoch().Add(time.Hour*time.Duration(i)), true)
	}
}

func answerKept(t *testing.T, s api.Store) {
	a := newClaim("a")
	completeAnswer(t, s, a, "of nobody") // there is no claim
	claimAnswer(t, s, a, epoch(), true)
	a = completeAnswer(t, s, a, "first")
	completeAnswer(t, s, a, "second")
	if err := s.DropAnswer(t.Context(), a.ID); err != nil {
		t.Fatal(err)
	}
	if got := claimAnswer(t, s, newClaim("a"), epoch(), false); !sameAnswer(got, a) {
		t.Errorf("after all that: %+v (%s), want %+v", got, got.Body, a)
	}
	claimAnswer(t, s, newClaim("a"), epoch().Add(24*time.Hour), true)
}
