package versioned_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/interactorhq/interactor/internal/versioned"
)

func value(v string) func(context.Context) (string, bool, error) {
	return func(context.Context) (string, bool, error) { return v, true, nil }
}

func want(t *testing.T, c *versioned.Cache[string], key string, version int64, load func(context.Context) (string, bool, error), want string) {
	t.Helper()
	if got, err := c.Get(t.Context(), key, version, load); err != nil || got != want {
		t.Errorf("Get(%s, %d) = %q, %v; want %q", key, version, got, err, want)
	}
}

func TestGet(t *testing.T) {
	t.Parallel()
	c := versioned.New[string](10)
	failed := errors.New("store away")
	want(t, c, "a", 1, value("one"), "one")
	want(t, c, "a", 1, value("other"), "one")
	want(t, c, "b", 1, value("two"), "two")
	want(t, c, "a", 2, value("newer"), "newer")
	want(t, c, "a", 1, value("from before"), "from before") // whoever asked for the version earlier
	want(t, c, "a", 2, value("newest"), "newest")
	if _, err := c.Get(t.Context(), "a", 3, func(context.Context) (string, bool, error) { return "", true, failed }); !errors.Is(err, failed) {
		t.Errorf("Get = %v, want the error of load", err)
	}
	want(t, c, "a", 3, value("after an error"), "after an error")
	want(t, c, "a", 4, func(context.Context) (string, bool, error) { return "not kept", false, nil }, "not kept")
	want(t, c, "a", 4, value("loaded again"), "loaded again")
}

func TestOneLoads(t *testing.T) {
	t.Parallel()
	c := versioned.New[string](10)
	started, release := make(chan struct{}), make(chan struct{})
	var loads atomic.Int32
	load := func(context.Context) (string, bool, error) {
		if loads.Add(1) == 1 {
			close(started)
		}
		<-release
		return "v", true, nil
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { want(t, c, "a", 1, load, "v") })
	}
	<-started
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Get(ended, "a", 1, load); !errors.Is(err, context.Canceled) {
		t.Errorf("Get with an ended context = %v", err)
	}
	close(release)
	wg.Wait()
	if n := loads.Load(); n != 1 {
		t.Errorf("%d loads, want 1", n)
	}
}

func TestBounded(t *testing.T) {
	t.Parallel()
	c := versioned.New[string](10)
	for i := range 1000 {
		key := fmt.Sprint(i)
		want(t, c, key, 1, value(key), key)
	}
	kept := 0
	for i := range 1000 {
		if got, _ := c.Get(t.Context(), fmt.Sprint(i), 1, func(context.Context) (string, bool, error) { return "", false, nil }); got != "" {
			kept++
		}
	}
	if kept < 1 || kept > 10 { // asking makes room, too
		t.Errorf("%d values were kept, want at most 10", kept)
	}
}
