// Package versioned remembers what was read at a version of a store, for as long
// as that is the version. The front door keeps addresses and recipients in one.
package versioned

import (
	"context"
	"sync"
	"sync/atomic"
)

// Cache holds at most max values. It is safe for concurrent use. Make one with [New].
type Cache[V any] struct {
	max   int64
	slots sync.Map // key: *slot[V]
	size  atomic.Int64
}

// New returns an empty Cache.
func New[V any](maxValues int) *Cache[V] { return &Cache[V]{max: int64(maxValues)} }

type slot[V any] struct {
	known   atomic.Pointer[known[V]]
	loading chan struct{} // holds one
}

type known[V any] struct {
	version int64
	value   V
}

// Get returns what load returned for the key at this version. The version must
// have been asked for before: what is loaded then may be newer than it says, and
// is loaded anew at the next version, but never older. Of callers who find
// nothing one loads, the others wait for it. With keep false, and with an error,
// nothing is remembered. The value is shared: nobody may change it.
func (c *Cache[V]) Get(ctx context.Context, key string, version int64, load func(context.Context) (value V, keep bool, err error)) (V, error) {
	s := c.slot(key)
	if k := s.known.Load(); k != nil && k.version == version {
		return k.value, nil
	}
	select {
	case s.loading <- struct{}{}:
		defer func() { <-s.loading }()
	case <-ctx.Done():
		var none V
		return none, ctx.Err()
	}
	if k := s.known.Load(); k != nil && k.version == version {
		return k.value, nil
	}
	value, keep, err := load(ctx)
	if err != nil || !keep {
		c.drop(key, s)
		return value, err
	}
	s.known.Store(&known[V]{version, value})
	return value, nil
}

func (c *Cache[V]) slot(key string) *slot[V] {
	if found, ok := c.slots.Load(key); ok {
		return found.(*slot[V]) //nolint:errcheck // it holds nothing else
	}
	found, loaded := c.slots.LoadOrStore(key, &slot[V]{loading: make(chan struct{}, 1)})
	if !loaded && c.size.Add(1) > c.max {
		c.evict(key)
	}
	return found.(*slot[V]) //nolint:errcheck // it holds nothing else
}

// drop forgets a slot. Those who wait at it load in turn.
func (c *Cache[V]) drop(key string, s *slot[V]) {
	s.known.Store(nil)
	if c.slots.CompareAndDelete(key, s) {
		c.size.Add(-1)
	}
}

// evict drops some slot other than the new one. Those who hold it go on with it.
func (c *Cache[V]) evict(but string) {
	c.slots.Range(func(key, _ any) bool {
		if key == but {
			return true
		}
		if _, gone := c.slots.LoadAndDelete(key); gone {
			c.size.Add(-1)
		}
		return false
	})
}
