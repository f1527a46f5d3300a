package deployment

import (
	"bytes"
	"context"
	"sync"
	"sync/atomic"

	"github.com/interactorhq/interactor/forward"
)

// SettingsInForce returns the settings that apply to an environment now, secrets
// included; zero when there are none. It is asked for each event and each
// attempt, so it answers from memory: what it remembers holds as long as
// [ForwardingStore].ForwardingVersion says that nothing has changed. A change
// made in this process is seen by the next call, one made in another process
// after at most one second. Errors: [ErrNotFound], also for a deleted environment.
//
// The answer shares Triggers, Retry, OAuth2 and Secrets with other callers: do not
// modify them.
func (s *Service) SettingsInForce(ctx context.Context, environment string) (forward.Settings, error) {
	environment, err := s.environment(ctx, environment)
	if err != nil {
		return forward.Settings{}, err
	}
	// Asked before the settings are read: a change in between makes what is
	// remembered look older than it is, never newer.
	version, err := s.store.ForwardingVersion(ctx)
	if err != nil {
		return forward.Settings{}, err
	}
	slot := s.cache.slot(environment)
	known := slot.known.Load()
	if known == nil || known.version != version {
		if known, err = s.load(ctx, environment, version, slot); err != nil {
			return forward.Settings{}, err
		}
	}
	return known.settings(s), nil
}

// load reads an environment's settings anew, one caller at a time; the others
// wait for what that one finds.
func (s *Service) load(ctx context.Context, environment string, version int64, slot *slot) (*known, error) {
	select {
	case slot.loading <- struct{}{}:
		defer func() { <-slot.loading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	old := slot.known.Load()
	if old != nil && old.version == version {
		return old, nil
	}
	stored, err := s.store.ForwardingInForce(ctx, environment)
	if err != nil {
		slot.known.Store(nil)
		return nil, err
	}
	fresh := &known{version: version, stored: stored}
	if old != nil && old.stored.Owner == stored.Owner && bytes.Equal(old.stored.Public, stored.Public) && bytes.Equal(old.stored.Sealed, stored.Sealed) {
		fresh.content = old.content // somebody else's settings changed: no need to ask a KMS again
	} else if fresh.content, err = s.decode(ctx, stored); err != nil {
		return nil, err
	}
	fresh.always = fresh.content.current(s.now())
	for _, secret := range fresh.content.secrets {
		fresh.ends = fresh.ends || !secret.Until.IsZero()
	}
	slot.known.Store(fresh)
	return fresh, nil
}

// known is what was read of an environment at a version. Immutable.
type known struct {
	version int64
	stored  StoredForwarding
	content content
	always  forward.Settings
	ends    bool // a secret has an end, so always is not for always
}

func (k *known) settings(s *Service) forward.Settings {
	if k.ends {
		return k.content.current(s.now())
	}
	return k.always
}

// maxSlots bounds the memory: at some kilobytes each, a few dozen megabytes. A
// process that serves more environments than that reads some of them again.
const maxSlots = 10_000

type cache struct {
	slots *sync.Map // environment id: *slot
	size  *atomic.Int64
}

type slot struct {
	known   atomic.Pointer[known]
	loading chan struct{}
}

func newCache() cache { return cache{slots: new(sync.Map), size: new(atomic.Int64)} }

func (c *cache) slot(environment string) *slot {
	if found, ok := c.slots.Load(environment); ok {
		known, _ := found.(*slot) // nothing else is put there
		return known
	}
	found, loaded := c.slots.LoadOrStore(environment, &slot{loading: make(chan struct{}, 1)})
	if !loaded && c.size.Add(1) > maxSlots {
		c.evict(environment)
	}
	known, _ := found.(*slot)
	return known
}

// evict drops some slot other than the new one. Those who hold it go on with it.
func (c *cache) evict(but string) {
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
