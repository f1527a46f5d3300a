package deployment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/seal"
)

// Config of a [Service]. Store and Keeper are required. Package interactor fills it.
type Config struct {
	Store  Store
	Keeper seal.Keeper // seals the secrets of forwarding settings

	// Check says what is wrong with settings: what their Validate finds, triggers
	// and params that the catalogue does not have, addresses that may not be
	// called, a missing URL; all at once, as forward.Problems. Defaults to Validate.
	Check func(s forward.Settings) error

	// Default keeps the default Organization, Deployment and Environment in being,
	// and makes them what an empty id means. Without it an empty id is an error,
	// so that tenants cannot mix by mistake.
	Default bool

	// Forwarding are the settings of the default Deployment, if they belong to the
	// program: stored at the first call, and read-only everywhere else. Zero: they
	// are set with SetForwarding.
	Forwarding forward.Settings

	// Changed is called after a commit that marked Connections whose watches may
	// have to change: a hint to look now. It must return quickly.
	Changed func()

	// Deleted is called with each Environment that a Delete was the end of, after
	// the commit: a hint to clean up now. [Service.Deleted] tells which ones wait,
	// also after a restart. It must return quickly.
	Deleted func(environment string)

	Now func() time.Time // Wall clock. Defaults to time.Now
}

// Service manages deployments. All methods are safe for concurrent use. Where
// one takes an id of "a deployment or environment", the prefix tells which; with
// Config.Default an empty id is the default one's.
type Service struct {
	cfg   Config
	store Store
	now   func() time.Time

	ready    atomic.Bool   // the default ones are there
	readying chan struct{} // held while they are made

	managedKeys *sync.Map // environments whose API key belongs to the program

	cache cache
}

// New checks cfg and returns a Service. It does no I/O.
func New(cfg Config) (*Service, error) {
	var errs []error
	if cfg.Store == nil {
		errs = append(errs, errors.New("deployment: Config.Store is missing: open one with sqlite.Open"))
	}
	if cfg.Keeper == nil {
		errs = append(errs, errors.New("deployment: Config.Keeper is missing: make one with seal.NewRing"))
	}
	if cfg.Check == nil {
		cfg.Check = func(forward.Settings) error { return nil }
	}
	if cfg.Changed == nil {
		cfg.Changed = func() {}
	}
	if cfg.Deleted == nil {
		cfg.Deleted = func(string) {}
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	switch {
	case cfg.Forwarding.IsZero():
	case !cfg.Default:
		errs = append(errs, errors.New("deployment: Config.Forwarding is set without Default: without a default deployment nobody has these settings"))
	default:
		if err := check(cfg.Forwarding, cfg.Check); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &Service{
		cfg:      cfg,
		store:    cfg.Store,
		now:      func() time.Time { return cfg.Now().UTC().Truncate(time.Millisecond) },
		readying: make(chan struct{}, 1),
		cache:    newCache(),

		managedKeys: new(sync.Map),
	}, nil
}

// EnsureDefault makes sure that the default ones are there with the settings of
// the Config. Methods do it themselves when they need it; a program calls it at
// start to hear of a problem early. The first call reads, and writes when
// something differs; later ones cost nothing. Without Config.Default it does nothing.
func (s *Service) EnsureDefault(ctx context.Context) error {
	if !s.cfg.Default || s.ready.Load() {
		return nil
	}
	select {
	case s.readying <- struct{}{}:
		defer func() { <-s.readying }()
	case <-ctx.Done():
		return fmt.Errorf("deployment: waiting for the default deployment: %w", ctx.Err())
	}
	if s.ready.Load() {
		return nil
	}
	if _, err := s.ensure(ctx, Spec{
		Organization: defaultName,
		Deployment:   defaultName,
		Environments: []string{Production},
		Forwarding:   s.cfg.Forwarding,
		Managed:      !s.cfg.Forwarding.IsZero(),
	}); err != nil {
		return fmt.Errorf("deployment: making the default deployment: %w", err)
	}
	s.ready.Store(true)
	return nil
}

// environment resolves an id that may be empty, and makes the default ones first
// when they are meant.
func (s *Service) environment(ctx context.Context, environment string) (string, error) {
	if environment == "" {
		if !s.cfg.Default {
			return "", errors.New("deployment: environment is empty: with MultiTenant every call names one")
		}
		environment = DefaultEnvironment
	}
	if environment == DefaultEnvironment {
		return environment, s.EnsureDefault(ctx)
	}
	if !id.Valid(prefixEnvironment, environment) {
		return "", notFound(environment)
	}
	return environment, nil
}

// owner is environment for an id of a deployment or environment; empty: the
// default deployment.
func (s *Service) owner(ctx context.Context, owner string) (string, error) {
	switch {
	case owner == "" && !s.cfg.Default:
		return "", errors.New("deployment: id is empty: with MultiTenant every call names a deployment or environment")
	case owner == "" || owner == DefaultDeployment:
		return DefaultDeployment, s.EnsureDefault(ctx)
	case strings.HasPrefix(owner, prefixEnvironment+"_"):
		return s.environment(ctx, owner)
	case !id.Valid(prefixDeployment, owner):
		return "", notFound(owner)
	}
	return owner, nil
}

func notFound(id string) error {
	if len(id) > 64 {
		id = id[:64] + "…"
	}
	return fmt.Errorf("%w: there is no %q", ErrNotFound, id)
}

const maxName = 200 // characters

func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("deployment: name of the %s is empty: give it one", what)
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("deployment: name of the %s must be printable text", what)
	case strings.TrimSpace(name) != name:
		return fmt.Errorf("deployment: name of the %s %q begins or ends with a space: remove it", what, name)
	case utf8.RuneCountInString(name) > maxName:
		return fmt.Errorf("deployment: name of the %s is longer than %d characters", what, maxName)
	}
	return nil
}

func (spec *Spec) complete() error {
	if spec.Deployment == "" {
		spec.Deployment = defaultName
	}
	if len(spec.Environments) == 0 {
		spec.Environments = []string{Development, Testing, Production}
	}
	errs := []error{checkName("organization", spec.Organization), checkName("deployment", spec.Deployment)}
	for i, name := range spec.Environments {
		errs = append(errs, checkName("environment", name))
		if slices.Contains(spec.Environments[:i], name) {
			errs = append(errs, fmt.Errorf("deployment: Spec.Environments names %q twice", name))
		}
	}
	for name := range spec.OwnForwarding {
		if !slices.Contains(spec.Environments, name) {
			errs = append(errs, fmt.Errorf("deployment: Spec.OwnForwarding names the environment %q, which Spec.Environments does not", name))
		}
	}
	return errors.Join(errs...)
}
