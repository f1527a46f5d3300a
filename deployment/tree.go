package deployment

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/id"
)

// Ensure creates what is missing of an Organization, a Deployment and its
// Environments, by name, and returns them. Calling it again changes nothing
// (unless Managed), so a program may call it at every start or sign-up. Nothing
// is removed: environments that the Spec does not name stay.
//
// All problems of the Spec are reported at once; those of settings as
// [InvalidError].
func (s *Service) Ensure(ctx context.Context, spec Spec) (Deployment, error) {
	if err := spec.complete(); err != nil {
		return Deployment{}, err
	}
	if err := s.EnsureDefault(ctx); err != nil {
		return Deployment{}, err
	}
	if spec.isDefault() && !s.cfg.Forwarding.IsZero() {
		if spec.Managed || !spec.Forwarding.IsZero() || len(spec.OwnForwarding) > 0 {
			return Deployment{}, fmt.Errorf("%w: Config.Forwarding has them already, so leave them out of the Spec of the default deployment", ErrManaged)
		}
		spec.Managed, spec.Forwarding = true, s.cfg.Forwarding
	}
	return s.ensure(ctx, spec)
}

func (spec *Spec) isDefault() bool {
	return spec.Organization == defaultName && spec.Deployment == defaultName
}

func (s *Service) ensure(ctx context.Context, spec Spec) (Deployment, error) {
	d, err := s.find(ctx, spec)
	isNew := errors.Is(err, ErrNotFound)
	if err != nil && !isNew {
		return Deployment{}, err
	}
	missing := slices.DeleteFunc(slices.Clone(spec.Environments), func(name string) bool {
		_, err := d.Environment(name)
		return err == nil
	})
	if err := s.checkSpec(spec, isNew, missing); err != nil {
		return Deployment{}, err
	}
	if isNew || len(missing) > 0 {
		if d, err = s.create(ctx, spec, d); err != nil {
			return Deployment{}, err
		}
	}
	return d, s.claim(ctx, spec, d)
}

func (s *Service) find(ctx context.Context, spec Spec) (Deployment, error) {
	if spec.isDefault() { // by id: it stays the default one when it is renamed
		return s.store.DeploymentByID(ctx, DefaultDeployment)
	}
	return s.store.DeploymentByName(ctx, spec.Organization, spec.Deployment)
}

// checkSpec checks the settings that will be stored, and only these: a
// deployment that exists is not the place to complain about what is not used.
func (s *Service) checkSpec(spec Spec, isNew bool, missing []string) error {
	var errs []error
	if (isNew || spec.Managed) && !spec.Forwarding.IsZero() {
		if err := check(spec.Forwarding, s.cfg.Check); err != nil {
			errs = append(errs, fmt.Errorf("Forwarding: %w", err))
		}
	}
	for _, name := range spec.Environments {
		own, ok := spec.OwnForwarding[name]
		if !ok || own.IsZero() || !spec.Managed && !slices.Contains(missing, name) {
			continue
		}
		if err := check(own, s.cfg.Check); err != nil {
			errs = append(errs, fmt.Errorf("OwnForwarding[%q]: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

// create makes candidates for all that the Spec names; the store takes those
// that are not there yet.
func (s *Service) create(ctx context.Context, spec Spec, d Deployment) (Deployment, error) {
	now := s.now()
	o := Organization{ID: id.New(prefixOrganization, now), Name: spec.Organization, CreatedAt: now}
	if d.ID == "" {
		d = Deployment{ID: id.New(prefixDeployment, now), Name: spec.Deployment, CreatedAt: now}
	}
	if spec.Organization == defaultName {
		o.ID = DefaultOrganization
	}
	if spec.isDefault() {
		d.ID = DefaultDeployment
	}
	if d.Organization != "" {
		o.ID = d.Organization
	}
	candidate := Deployment{ID: d.ID, Organization: o.ID, Name: d.Name, CreatedAt: d.CreatedAt}
	settings, err := s.initial(ctx, nil, candidate.ID, spec.Forwarding, spec.Managed)
	if err != nil {
		return Deployment{}, err
	}
	for _, name := range spec.Environments {
		e := Environment{ID: id.New(prefixEnvironment, now), Deployment: d.ID, Name: name, CreatedAt: now}
		if spec.isDefault() && name == Production {
			e.ID = DefaultEnvironment
		}
		candidate.Environments = append(candidate.Environments, e)
		if settings, err = s.initial(ctx, settings, e.ID, spec.OwnForwarding[name], false); err != nil {
			return Deployment{}, err
		}
	}
	d, err = s.store.EnsureDeployment(ctx, o, candidate, settings)
	if err != nil {
		return Deployment{}, fmt.Errorf("deployment: creating %q of %q: %w", spec.Deployment, spec.Organization, err)
	}
	return d, nil
}

func (s *Service) initial(ctx context.Context, list []StoredForwarding, owner string, f forward.Settings, managed bool) ([]StoredForwarding, error) {
	if f.IsZero() && !managed {
		return list, nil
	}
	if err := checkExpiry(f, s.now()); err != nil {
		return nil, err
	}
	c := content{owner: owner, managed: managed}
	c.replace(f)
	stored, err := s.encode(ctx, c)
	return append(list, stored), err
}

// claim makes the settings of the program win when they are Managed, and lets go
// of them when they no longer are.
func (s *Service) claim(ctx context.Context, spec Spec, d Deployment) error {
	err := s.revise(ctx, d.ID, func(c *content) error {
		if spec.Managed {
			c.replace(spec.Forwarding)
		}
		c.managed = spec.Managed
		return nil
	})
	if err != nil || !spec.Managed {
		return err
	}
	for _, e := range d.Environments {
		own := spec.OwnForwarding[e.Name]
		if err := s.revise(ctx, e.ID, func(c *content) error { c.replace(own); return nil }); err != nil {
			return err
		}
	}
	return nil
}

// Get returns the deployment that has the id, or the environment with the id.
func (s *Service) Get(ctx context.Context, id string) (Deployment, error) {
	owner, err := s.owner(ctx, id)
	if err != nil {
		return Deployment{}, err
	}
	return s.store.DeploymentByID(ctx, owner)
}

// Environment returns an environment by its id, or [ErrNotFound].
func (s *Service) Environment(ctx context.Context, id string) (Environment, error) {
	resolved, err := s.environment(ctx, id)
	if err != nil {
		return Environment{}, err
	}
	d, err := s.store.DeploymentByID(ctx, resolved)
	if err != nil {
		return Environment{}, err
	}
	for _, e := range d.Environments {
		if e.ID == resolved {
			return e, nil
		}
	}
	return Environment{}, notFound(resolved)
}

const page = 100 // records read at a time by the iterators

// Organizations iterates in order of creation. It reads in pages, so breaking
// off early is cheap.
func (s *Service) Organizations(ctx context.Context) iter.Seq2[Organization, error] {
	return func(yield func(Organization, error) bool) {
		if err := s.EnsureDefault(ctx); err != nil {
			yield(Organization{}, err)
			return
		}
		paged(yield, func(after Organization) ([]Organization, error) {
			return s.store.OrganizationsAfter(ctx, after, page)
		})
	}
}

// Deployments iterates over those of an organization, or over all when it is "",
// in order of creation.
func (s *Service) Deployments(ctx context.Context, organization string) iter.Seq2[Deployment, error] {
	return func(yield func(Deployment, error) bool) {
		if err := s.EnsureDefault(ctx); err != nil {
			yield(Deployment{}, err)
			return
		}
		paged(yield, func(after Deployment) ([]Deployment, error) {
			return s.store.DeploymentsAfter(ctx, organization, after, page)
		})
	}
}

func paged[T any](yield func(T, error) bool, next func(after T) ([]T, error)) {
	var last T
	for {
		items, err := next(last)
		if err != nil {
			yield(last, err)
			return
		}
		for _, item := range items {
			if !yield(item, nil) {
				return
			}
			last = item
		}
		if len(items) < page {
			return
		}
	}
}

// Rename an organization, deployment or environment. Errors: [ErrNotFound],
// [ErrExists]. The name "Default" is kept for the default organization, since
// [Service.Ensure] means that one by it.
func (s *Service) Rename(ctx context.Context, record, name string) error {
	what := map[string]string{prefixOrganization: "organization", prefixDeployment: "deployment", prefixEnvironment: "environment"}[id.Prefix(record)]
	if what == "" {
		return notFound(record)
	}
	if err := checkName(what, name); err != nil {
		return err
	}
	if what == "organization" && name == defaultName && record != DefaultOrganization {
		return fmt.Errorf("%w: %q means the default organization", ErrExists, name)
	}
	if err := s.EnsureDefault(ctx); err != nil {
		return err
	}
	return s.store.SetName(ctx, record, name)
}

// Delete an organization, deployment or environment with all that is below it.
// From the moment it returns their API keys are refused, and their settings are
// gone; Config.Deleted is told of each environment, whose accounts are then
// disconnected and whose events are erased (see [Service.Deleted]).
func (s *Service) Delete(ctx context.Context, record string) error {
	switch id.Prefix(record) {
	case prefixOrganization, prefixDeployment, prefixEnvironment:
	default:
		return notFound(record)
	}
	if s.cfg.Default && (record == DefaultOrganization || record == DefaultDeployment || record == DefaultEnvironment) {
		return ErrDefault
	}
	environments, err := s.store.MarkDeleted(ctx, record, s.now())
	if err != nil {
		return err
	}
	s.cfg.Changed()
	for _, e := range environments {
		s.cfg.Deleted(e)
	}
	return nil
}

// Deleted iterates over the ids of environments that were deleted and still have
// something to clean up. Whoever has cleaned up calls [Service.Erase].
func (s *Service) Deleted(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		paged(yield, func(after string) ([]string, error) {
			return s.store.DeletedEnvironments(ctx, after, page)
		})
	}
}

// Erase forgets a deleted environment, once nothing that belongs to it is left.
func (s *Service) Erase(ctx context.Context, environment string) error {
	return s.store.EraseEnvironment(ctx, environment)
}
