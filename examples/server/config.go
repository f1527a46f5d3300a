package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/interactorhq/interactor"
	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/forward"
)

// config is the file that -config names. Unknown members are errors; ${NAME} in
// any string is the environment variable of that name.
type config struct {
	Address              string                     `json:"address"` // defaults to 127.0.0.1:8080; port 0 takes a free one
	PublicURL            string                     `json:"public_url"`
	Store                storeConfig                `json:"store"`
	SealingKeys          []string                   `json:"sealing_keys"`
	SealPayloads         bool                       `json:"seal_payloads"` // of events
	Connectors           map[string]json.RawMessage `json:"connectors"`
	Deployments          []deploymentConfig         `json:"deployments"`
	ProductName          string                     `json:"product_name"` // on the pages that end users see. Defaults to the host of public_url
	RedirectOrigins      []string                   `json:"redirect_origins"`
	AllowPrivateNetworks bool                       `json:"allow_private_networks"`
	Proxy                string                     `json:"proxy"`    // http://user:password@proxy.example.com:3128. Defaults to none
	RootCAs              string                     `json:"root_cas"` // PEM file, beside the system's; relative to the config file
	Limits               limitsConfig               `json:"limits"`
	Log                  logConfig                  `json:"log"`
}

type storeConfig struct {
	SQLite string `json:"sqlite"` // path; relative to the config file. Defaults to interactor.db
}

type deploymentConfig struct {
	Organization string                       `json:"organization"` // defaults to "Default"
	Name         string                       `json:"name"`         // defaults to "Default"
	Forwarding   *forward.Settings            `json:"forwarding"`
	Environments map[string]environmentConfig `json:"environments"` // beside Development, Testing and Production
}

type environmentConfig struct {
	APIKey     string                   `json:"api_key"` // at least 32 characters
	Forwarding *forward.Settings        `json:"forwarding"`
	Apps       map[string]connector.App `json:"apps"`
}

type limitsConfig struct {
	MaxBody      int64    `json:"max_body"`
	InFlight     int      `json:"in_flight"`
	DrainTimeout duration `json:"drain_timeout"`
	Retention    duration `json:"retention"`
	MaxStore     int64    `json:"max_store"` // bytes
}

type logConfig struct {
	Level  string `json:"level"`  // debug, info, warn, error. Defaults to info
	Format string `json:"format"` // json, text. Defaults to json
}

// duration is Go text in JSON: "20s".
type duration time.Duration

func (d *duration) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return fmt.Errorf("a duration is text such as %q", "20s")
	}
	v, err := time.ParseDuration(s)
	*d = duration(v)
	return err
}

// readConfig reads a config file. The error names the member that is wrong.
func readConfig(path string, lookup func(string) (string, bool)) (config, error) {
	var cfg config
	b, err := os.ReadFile(path)
	if err != nil {
		return cfg, fmt.Errorf("config file: %w", err)
	}
	var tree any
	if err := decode(b, &tree); err != nil {
		return cfg, fmt.Errorf("%s: %w", path, err)
	}
	var missing []error
	tree = expand(tree, "", lookup, &missing)
	if err := errors.Join(missing...); err != nil {
		return cfg, fmt.Errorf("%s:\n%w", path, err)
	}
	if b, err = json.Marshal(tree); err != nil {
		return cfg, err
	}
	if err := decode(b, &cfg); err != nil {
		return cfg, fmt.Errorf("%s: %w", path, err)
	}
	cfg.defaults(filepath.Dir(path))
	return cfg, cfg.check()
}

func decode(b []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	dec.UseNumber()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is text behind the end of the JSON object")
	}
	return nil
}

func (c *config) defaults(dir string) {
	if c.Address == "" {
		c.Address = "127.0.0.1:8080"
	}
	if c.Store.SQLite == "" {
		c.Store.SQLite = "interactor.db"
	}
	if !filepath.IsAbs(c.Store.SQLite) {
		c.Store.SQLite = filepath.Join(dir, c.Store.SQLite)
	}
	if c.RootCAs != "" && !filepath.IsAbs(c.RootCAs) {
		c.RootCAs = filepath.Join(dir, c.RootCAs)
	}
	for i := range c.Deployments {
		d := &c.Deployments[i]
		if d.Organization == "" {
			d.Organization = defaultName
		}
		if d.Name == "" {
			d.Name = defaultName
		}
	}
}

// check reports what interactor.New does not see.
func (c *config) check() error {
	var problems []error
	seen := make(map[string]bool)
	for i, d := range c.Deployments {
		key := d.Organization + "/" + d.Name
		if seen[key] {
			problems = append(problems, fmt.Errorf("deployments[%d]: %s is there twice", i, key))
		}
		seen[key] = true
		for name, e := range d.Environments {
			if e.APIKey != "" && len(e.APIKey) < 32 {
				problems = append(problems, fmt.Errorf("deployments[%d].environments.%s.api_key: want at least 32 characters", i, name))
			}
			for app := range e.Apps {
				if c.Connectors[app] == nil {
					problems = append(problems, fmt.Errorf("deployments[%d].environments.%s.apps.%s: no connector of that name is listed", i, name, app))
				}
			}
		}
	}
	switch c.Log.Level {
	case "", "debug", "info", "warn", "error":
	default:
		problems = append(problems, fmt.Errorf("log.level: %q is none of debug, info, warn, error", c.Log.Level))
	}
	switch c.Log.Format {
	case "", "json", "text":
	default:
		problems = append(problems, fmt.Errorf("log.format: %q is none of json, text", c.Log.Format))
	}
	return errors.Join(problems...)
}

// proxy parses the proxy's address. interactor.New judges it.
func (c *config) proxy() (*url.URL, error) {
	if c.Proxy == "" {
		return nil, nil
	}
	u, err := url.Parse(c.Proxy)
	if err != nil { // whose text could have the password
		return nil, errors.New("proxy: is no address: write it like http://proxy.example.com:3128")
	}
	return u, nil
}

// rootCAs adds the file's authorities to those of the system.
func (c *config) rootCAs() (*x509.CertPool, error) {
	if c.RootCAs == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(c.RootCAs)
	if err != nil {
		return nil, fmt.Errorf("root_cas: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("root_cas: those of the system: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("root_cas: %s holds no certificate in PEM", c.RootCAs)
	}
	return pool, nil
}

// isDefault reports whether d is the default deployment.
func (d deploymentConfig) isDefault() bool {
	return d.Organization == defaultName && d.Name == defaultName
}

// multiTenant reports whether other deployments than the default one are listed.
func (c *config) multiTenant() bool {
	for _, d := range c.Deployments {
		if !d.isDefault() {
			return true
		}
	}
	return false
}

// hasKey reports whether any environment has an API key.
func (c *config) hasKey() bool {
	for _, d := range c.Deployments {
		for _, e := range d.Environments {
			if e.APIKey != "" {
				return true
			}
		}
	}
	return false
}

func (l limitsConfig) limits() forward.Limits {
	return forward.Limits{
		MaxBody: l.MaxBody, InFlight: l.InFlight,
		DrainTimeout: time.Duration(l.DrainTimeout), Retention: time.Duration(l.Retention),
		MaxStore: l.MaxStore,
	}
}

var variable = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

// expand replaces ${NAME} in every string below v. One that is not set is a
// problem that names the member.
func expand(v any, member string, lookup func(string) (string, bool), missing *[]error) any {
	switch v := v.(type) {
	case string:
		return variable.ReplaceAllStringFunc(v, func(ref string) string {
			name := strings.TrimSuffix(strings.TrimPrefix(ref, "${"), "}")
			value, ok := lookup(name)
			if !ok {
				*missing = append(*missing, fmt.Errorf("%s: the environment variable %s is not set", strings.TrimPrefix(member, "."), name))
			}
			return value
		})
	case []any:
		for i := range v {
			v[i] = expand(v[i], fmt.Sprintf("%s[%d]", member, i), lookup, missing)
		}
	case map[string]any:
		for name := range v {
			v[name] = expand(v[name], member+"."+name, lookup, missing)
		}
	}
	return v
}

// product makes one connector from its part of the file.
type product func(raw json.RawMessage) (interactor.Connector, error)

// of adapts a connector's New to the file.
func of[C any](create func(C) interactor.Connector) product {
	return func(raw json.RawMessage) (interactor.Connector, error) {
		var c C
		if err := decode(raw, &c); err != nil {
			return nil, err
		}
		return create(c), nil
	}
}

// defaultName is that of the default Organization and of its Deployment.
const defaultName = "Default"
