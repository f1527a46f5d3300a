package deployment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

// Source says whose settings are in force.
type Source string

// Sources of settings.
const (
	FromNowhere     Source = ""            // there are none: nothing is forwarded
	FromDeployment  Source = "deployment"  // the Deployment's
	FromEnvironment Source = "environment" // the Environment's own, which replace the Deployment's as a whole
)

// Forwarding is what applies to a deployment or environment.
type Forwarding struct {
	Settings forward.Settings // secrets included
	From     Source
	Managed  bool // they belong to the program and are read-only ([ErrManaged])
}

// Forwarding returns the settings that apply to a deployment or environment,
// secrets included.
func (s *Service) Forwarding(ctx context.Context, id string) (Forwarding, error) {
	owner, err := s.owner(ctx, id)
	if err != nil {
		return Forwarding{}, err
	}
	read := s.store.OwnForwarding
	if isEnvironment(owner) {
		read = s.store.ForwardingInForce
	}
	stored, err := read(ctx, owner)
	if err != nil {
		return Forwarding{}, err
	}
	c, err := s.decode(ctx, stored)
	if err != nil {
		return Forwarding{}, err
	}
	return c.forwarding(s.now()), nil
}

func (c *content) forwarding(now time.Time) Forwarding {
	f := Forwarding{Settings: c.current(now), Managed: c.managed}
	switch {
	case f.Settings.IsZero():
	case isEnvironment(c.owner):
		f.From = FromEnvironment
	default:
		f.From = FromDeployment
	}
	return f
}

func isEnvironment(owner string) bool { return id.Prefix(owner) == prefixEnvironment }

// SetForwarding replaces the settings of a deployment, or an environment's own
// ones, which then hide those of its deployment; the zero Settings remove them
// again. Empty Secrets keep the stored ones, or make one if there are none yet.
// Watches at the providers follow.
//
// Errors: [InvalidError] with everything that is wrong; [ErrManaged]; [ErrNotFound].
func (s *Service) SetForwarding(ctx context.Context, id string, f forward.Settings) error {
	return s.change(ctx, id, func(c *content) error {
		c.replace(f)
		return nil
	})
}

// EditForwarding replaces the settings of a deployment, or an environment's own
// ones, by what edit makes of them. edit gets the zero Settings where there are
// none; it is called again when somebody else was faster. It returns the
// settings that are then in force. Errors: as SetForwarding, and edit's own.
func (s *Service) EditForwarding(ctx context.Context, id string, edit func(f *forward.Settings) error) (Forwarding, error) {
	err := s.change(ctx, id, func(c *content) error {
		f := c.current(s.now())
		if err := edit(&f); err != nil {
			return err
		}
		given := c.given
		c.replace(f)
		c.given = given
		return nil
	})
	if err != nil {
		return Forwarding{}, err
	}
	return s.Forwarding(ctx, id)
}

// AddTriggers adds to the trigger list of a deployment, or to an environment's
// own; those already there are left alone. Errors: as SetForwarding, and
// [ErrInherits] for an environment without settings of its own.
func (s *Service) AddTriggers(ctx context.Context, id string, triggers ...trigger.Filter) error {
	return s.change(ctx, id, func(c *content) error {
		if err := c.inherits(); err != nil {
			return err
		}
		for _, add := range triggers {
			if !slices.ContainsFunc(c.settings.Triggers, func(f trigger.Filter) bool { return equalFilters(f, add) }) {
				c.settings.Triggers = append(c.settings.Triggers, add)
			}
		}
		c.settings = copySettings(c.settings)
		return nil
	})
}

// RemoveTriggers removes from the trigger list what equals one of triggers.
// Errors: as AddTriggers.
func (s *Service) RemoveTriggers(ctx context.Context, id string, triggers ...trigger.Filter) error {
	return s.change(ctx, id, func(c *content) error {
		if err := c.inherits(); err != nil {
			return err
		}
		c.unchecked = true // a connector that is gone must not stand in the way of removing its triggers
		c.settings.Triggers = slices.DeleteFunc(c.settings.Triggers, func(f trigger.Filter) bool {
			return slices.ContainsFunc(triggers, func(r trigger.Filter) bool { return equalFilters(f, r) })
		})
		return nil
	})
}

// inherits refuses to change single parts of settings that are not there: taking
// over the Deployment's for that would also copy its header value and its
// signing secrets, unasked.
func (c *content) inherits() error {
	if isEnvironment(c.owner) && c.revision == 0 {
		return fmt.Errorf("%w (%s)", ErrInherits, c.owner)
	}
	return nil
}

const maxOverlap = 90 * 24 * time.Hour

// RotateSecret adds a fresh signing secret in front and drops the older ones
// after overlap, in which deliveries carry a signature by each. It returns the
// new one. It works on managed settings too, if the program does not name the
// secrets itself. Errors: as AddTriggers.
func (s *Service) RotateSecret(ctx context.Context, id string, overlap time.Duration) (string, error) {
	if overlap < 0 || overlap > maxOverlap {
		return "", fmt.Errorf("deployment: overlap is %s: it must be between 0 and %s", overlap, maxOverlap)
	}
	owner, err := s.owner(ctx, id)
	if err != nil {
		return "", err
	}
	fresh := webhook.NewSecret()
	err = s.revise(ctx, owner, func(c *content) error {
		if err := c.inherits(); err != nil {
			return err
		}
		if c.settings.IsZero() {
			return fmt.Errorf("deployment: %s has no forwarding settings, so nothing is signed: use SetForwarding first", owner)
		}
		if c.managed && c.given {
			return fmt.Errorf("%w: they name their signing secrets", ErrManaged)
		}
		c.unchecked = true
		end := s.now().Add(overlap)
		for i, old := range c.secrets {
			if old.Until.IsZero() || end.Before(old.Until) {
				c.secrets[i].Until = end
			}
		}
		c.secrets = slices.Insert(c.secrets, 0, signing{Secret: fresh})
		return nil
	})
	if err != nil {
		return "", err
	}
	return fresh, nil
}

// change is revise for those who may not change managed settings.
func (s *Service) change(ctx context.Context, id string, edit func(c *content) error) error {
	owner, err := s.owner(ctx, id)
	if err != nil {
		return err
	}
	return s.revise(ctx, owner, func(c *content) error {
		if c.managed {
			return ErrManaged
		}
		return edit(c)
	})
}

// maxRaces bounds how often revise starts anew. Each time somebody else's change
// went through, so many in a row mean that something writes without end.
const maxRaces = 20

// revise reads, edits, checks and writes the settings of an owner; from the
// start when another write came between. What changes nothing is not written.
func (s *Service) revise(ctx context.Context, owner string, edit func(c *content) error) error {
	for range maxRaces {
		stored, err := s.store.OwnForwarding(ctx, owner)
		if err != nil {
			return err
		}
		before, err := s.decode(ctx, stored)
		if err != nil {
			return err
		}
		after := before
		after.settings = copySettings(before.settings)
		after.secrets = slices.Clone(before.secrets)
		if err := edit(&after); err != nil {
			return err
		}
		if after.equal(&before) {
			return nil
		}
		if f := after.current(s.now()); !f.IsZero() && !after.unchecked && !after.sameSettings(&before) {
			if err := check(f, s.cfg.Check); err != nil {
				return err
			}
			if f.ClientCertificate != before.settings.ClientCertificate {
				if err := checkExpiry(f, s.now()); err != nil {
					return err
				}
			}
		}
		next, err := s.encode(ctx, after)
		if err != nil {
			return err
		}
		watches := !after.sameWatches(&before) || (len(stored.Public) == 0) != (len(next.Public) == 0)
		err = s.store.PutForwarding(ctx, next, watches, s.now())
		if err == nil && watches {
			s.cfg.Changed()
		}
		if !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("deployment: settings of %s: %w", owner, ErrConflict)
}
