// Package deployment keeps Organizations, their Deployments and Environments,
// and what belongs to them: forwarding settings and API keys.
//
//	Organization     a customer                   "Acme"
//	└ Deployment     one of its applications      "CRM"          forwarding settings, trigger list
//	  └ Environment  a data set of it             "Production"   API key, connected accounts, own client credentials
//
// A program for a single tenant never meets them: a default one of each is
// always there. A platform uses [Service]; start with [Service.Ensure]. Package
// interactor makes the Service; packages api and console serve it.
package deployment

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/id"
)

// Names of the environments that a new Deployment gets.
const (
	Development = "Development"
	Testing     = "Testing"
	Production  = "Production"
)

// The default ones, which a program for a single tenant uses without naming them.
const (
	DefaultOrganization = id.DefaultOrganization // "org_default", named "Default"
	DefaultDeployment   = id.DefaultDeployment   // "dep_default", named "Default"
	DefaultEnvironment  = id.DefaultEnvironment  // "env_default", named "Production"
)

// defaultName is the name of the default Organization and Deployment, and of a
// Deployment whose Spec names none.
const defaultName = "Default"

// Organization is a customer.
type Organization struct {
	ID        string // "org_…"
	Name      string // unique
	CreatedAt time.Time
}

// Deployment is one application of an Organization.
type Deployment struct {
	ID           string // "dep_…"
	Organization string // "org_…"
	Name         string // unique within its Organization
	CreatedAt    time.Time
	Environments []Environment // in order of creation
}

// Environment returns the environment called name. The error lists the names there are.
func (d Deployment) Environment(name string) (Environment, error) {
	names := make([]string, 0, len(d.Environments))
	for _, e := range d.Environments {
		if e.Name == name {
			return e, nil
		}
		names = append(names, fmt.Sprintf("%q", e.Name))
	}
	return Environment{}, fmt.Errorf("%w: deployment %s has no environment %q; it has %s",
		ErrNotFound, d.ID, name, strings.Join(names, ", "))
}

// Environment is a data set of a Deployment.
type Environment struct {
	ID          string // "env_…"
	Deployment  string // "dep_…"
	Name        string // unique within its Deployment
	KeyIssuedAt time.Time
	CreatedAt   time.Time
}

// Spec names what [Service.Ensure] makes sure of.
type Spec struct {
	// Organization is a name, such as your own tenant's id. Required.
	// "Default" with Deployment "Default" is the default one.
	Organization string
	Deployment   string   // name. Defaults to "Default"
	Environments []string // names. Defaults to Development, Testing, Production

	// Forwarding is for a deployment that is new; one that exists keeps its own.
	Forwarding forward.Settings

	// OwnForwarding are settings of environments of their own, by name, which
	// replace Forwarding there as a whole. They are for environments that are new,
	// like Forwarding; those not named inherit.
	OwnForwarding map[string]forward.Settings

	// Managed makes Forwarding and OwnForwarding win over what is stored, at every
	// call, and makes them read-only everywhere else ([ErrManaged]): for settings
	// that live in a program or in its config file. An environment without an
	// entry in OwnForwarding then inherits. With empty Secrets the stored signing
	// secret stays. A later Ensure without Managed leaves the settings as they are
	// and lets them be changed again.
	Managed bool
}

// Errors to branch on.
var (
	ErrNotFound = errors.New("deployment: not found")
	ErrExists   = errors.New("deployment: name is taken")
	ErrBadKey   = errors.New("deployment: API key is missing, unknown or replaced")
	ErrKeyTaken = errors.New("deployment: this API key belongs to another environment: choose another one")
	ErrManaged  = errors.New("deployment: these settings are managed by the program or its config file; change them there")
	ErrInherits = errors.New("deployment: the environment has no forwarding settings of its own; change its deployment's, or give it some with SetForwarding")
	ErrDefault  = errors.New("deployment: the default organization, deployment and environment cannot be deleted without MultiTenant")
)

// InvalidError means that forwarding settings were refused. Err says everything
// that is wrong with them, as [forward.Problems] where members can be named.
type InvalidError struct{ Err error }

var _ error = (*InvalidError)(nil)

func (e *InvalidError) Error() string { return e.Err.Error() }

// Unwrap returns what is wrong.
func (e *InvalidError) Unwrap() error { return e.Err }

// Prefixes of ids.
const (
	prefixOrganization = "org"
	prefixDeployment   = "dep"
	prefixEnvironment  = "env"
)
