package interactor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/interactorhq/interactor/auth"
	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/deployment"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/versioned"
	"github.com/interactorhq/interactor/subscription"
)

// directory tells the Forwarder whose a request is: it joins what accounts,
// watches and deployments know. No room imports another for it.
type directory struct {
	registry      *connector.Registry
	auth          *auth.Authorizer
	deployments   *deployment.Service
	subscriptions *subscription.Reconciler
	gap           func(ctx context.Context, r forward.Recipient, reason string) error

	// What is asked for with every request is remembered until something that it
	// was read from changes.
	version    func(context.Context) (int64, error)
	addresses  *versioned.Cache[forward.Address]
	recipients *versioned.Cache[[]forward.Recipient]
}

var _ forward.Directory = (*directory)(nil)

// remembered bounds how many addresses, and how many answers to who is meant,
// are kept in memory: some megabytes.
const remembered = 10_000

// Address implements [forward.Directory]. What the path names decides which
// keys verify a request; nothing in the request does.
func (d *directory) Address(ctx context.Context, name, endpoint string) (forward.Address, error) {
	e, ok := d.registry.Lookup(name)
	if !ok {
		return forward.Address{}, forward.ErrNoAddress
	}
	if endpoint == "" {
		return d.address(ctx, e, endpoint)
	}
	version, err := d.version(ctx)
	if err != nil {
		return forward.Address{}, err
	}
	a, err := d.addresses.Get(ctx, cacheKey(name, endpoint), version, func(ctx context.Context) (forward.Address, bool, error) {
		a, err := d.address(ctx, e, endpoint)
		return a, err == nil && !d.elsewhere(ctx, a), err
	})
	// Connectors get these: what one of them changes is not for the next request.
	a.AppFields, a.Values = maps.Clone(a.AppFields), maps.Clone(a.Values)
	return a, err
}

// elsewhere reports whether what an address holds comes from where no version
// tells of changes: Config.App.
func (d *directory) elsewhere(ctx context.Context, a forward.Address) bool {
	if a.App == "" {
		return false
	}
	own, err := d.auth.AppByID(ctx, a.App)
	return err != nil || own.External
}

// cacheKey is the same for the same parts only.
func cacheKey(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(strconv.Itoa(len(p)))
		b.WriteByte(' ')
		b.WriteString(p)
	}
	return b.String()
}

func (d *directory) address(ctx context.Context, e *connector.Entry, endpoint string) (forward.Address, error) {
	name := e.Name
	switch {
	case endpoint == "":
		if !e.HasDefaultApp {
			return forward.Address{}, forward.ErrNoAddress
		}
		return appAddress(e, forward.Address{Connector: name}, []connector.App{e.DefaultApp})
	case strings.HasPrefix(endpoint, "app_"):
		return d.ownAppAddress(ctx, e, endpoint)
	case strings.HasPrefix(endpoint, "sub_"):
		return d.subscriptionAddress(ctx, e, endpoint)
	}
	return forward.Address{}, forward.ErrNoAddress
}

// appAddress completes the address of an App: the fields that its connector's
// AtApp watches name as their key. Of apps, the first one is what consents use
// now; what those before it signed still verifies while Connections live on them.
func appAddress(e *connector.Entry, a forward.Address, apps []connector.App) (forward.Address, error) {
	a.AppFields = apps[0].Values()
	found := false
	for _, w := range e.Watches {
		if w.Intake != connector.AtApp {
			continue
		}
		found = true
		a.Secrets = append(a.Secrets, appSecrets(w, apps)...)
	}
	if !found {
		return forward.Address{}, forward.ErrNoAddress
	}
	return a, nil
}

// appSecrets are the values of the App field that holds w's key, newest first.
func appSecrets(w connector.Watch, apps []connector.App) (secrets []string) {
	field, _ := w.Secret.Field()
	for _, app := range apps {
		if v := app.Values()[field]; v != "" && !slices.Contains(secrets, v) {
			secrets = append(secrets, v)
		}
	}
	return secrets
}

// apps returns an App by its id, what consents use now in front.
func (d *directory) apps(ctx context.Context, e *connector.Entry, id string) ([]connector.App, error) {
	if id == "" {
		return []connector.App{e.DefaultApp}, nil
	}
	own, err := d.auth.AppByID(ctx, id)
	return append([]connector.App{own.App}, own.Former...), err
}

func (d *directory) ownAppAddress(ctx context.Context, e *connector.Entry, endpoint string) (forward.Address, error) {
	own, err := d.auth.AppByID(ctx, endpoint)
	if errors.Is(err, auth.ErrNoApp) || (err == nil && own.Connector != e.Name) {
		return forward.Address{}, forward.ErrNoAddress
	}
	if err != nil {
		return forward.Address{}, err
	}
	dep, err := d.deploymentOf(ctx, own.Environment)
	if err != nil {
		return forward.Address{}, err
	}
	return appAddress(e, forward.Address{
		Connector: e.Name, Endpoint: endpoint, App: endpoint, Environment: own.Environment, Deployment: dep,
	}, append([]connector.App{own.App}, own.Former...))
}

func (d *directory) subscriptionAddress(ctx context.Context, e *connector.Entry, endpoint string) (forward.Address, error) {
	at, err := d.subscriptions.At(ctx, endpoint)
	if err != nil {
		return forward.Address{}, err
	}
	if len(at) == 0 {
		s, err := d.subscriptions.Get(ctx, endpoint)
		switch {
		case errors.Is(err, subscription.ErrNotFound) || (err == nil && s.Connector != e.Name):
			return forward.Address{}, forward.ErrNoAddress
		case err != nil:
			return forward.Address{}, err
		}
		return forward.Address{}, forward.ErrAddressGone
	}
	if at[0].Connector != e.Name {
		return forward.Address{}, forward.ErrNoAddress
	}
	w, ok := e.Watch(at[0].Watch)
	if !ok || w.Intake != connector.AtSubscription {
		return forward.Address{}, forward.ErrNoAddress
	}
	s, conn, err := d.alive(ctx, at)
	if err != nil {
		return forward.Address{}, err
	}
	apps, err := d.apps(ctx, e, s.App)
	if err != nil {
		return forward.Address{}, err
	}
	dep, err := d.deploymentOf(ctx, s.Environment)
	if err != nil {
		return forward.Address{}, err
	}
	a := forward.Address{
		Connector: e.Name, Endpoint: endpoint, App: s.App, Deployment: dep, Environment: s.Environment,
		Connection: s.Connection, Account: s.Account, Subscription: s.ID, Watch: s.Watch,
		AppFields: apps[0].Values(), Values: conn.Values,
	}
	switch w.Secret {
	case connector.SecretOurs, connector.SecretTheirs:
		secret, err := d.subscriptions.Secret(ctx, s)
		if err != nil {
			return forward.Address{}, err
		}
		if a.KeyPending = secret == ""; !a.KeyPending {
			a.Secrets = []string{secret}
		}
	default:
		a.Secrets = appSecrets(w, apps)
		if _, field := w.Secret.Field(); field != "" {
			fields, err := d.auth.Secrets(ctx, s.Connection)
			if err != nil {
				return forward.Address{}, err
			}
			if v := fields[field]; v != "" {
				a.Secrets = []string{v}
			}
		}
	}
	return a, nil
}

var _ forward.Locator = (*directory)(nil)

// Deployment implements [forward.Locator].
func (d *directory) Deployment(ctx context.Context, environment string) (string, error) {
	id, err := d.deploymentOf(ctx, environment)
	if errors.Is(err, deployment.ErrNotFound) {
		return "", fmt.Errorf("%w: %s", forward.ErrEnvironmentGone, environment)
	}
	return id, err
}

// alive returns the first Subscription whose Connection has not ended, with it.
// From the moment a Connection is disconnected, its addresses are gone: the
// watch behind them may live a little longer.
func (d *directory) alive(ctx context.Context, subs []subscription.Subscription) (subscription.Subscription, auth.Record, error) {
	for _, s := range subs {
		conn, err := d.auth.Get(ctx, s.Connection)
		if err != nil {
			return s, conn, err
		}
		if conn.Status != auth.Revoked {
			return s, conn, nil
		}
	}
	return subscription.Subscription{}, auth.Record{}, forward.ErrAddressGone
}

func (d *directory) deploymentOf(ctx context.Context, environment string) (string, error) {
	env, err := d.deployments.Environment(ctx, environment)
	if err != nil {
		return "", fmt.Errorf("environment %s: %w", environment, err)
	}
	return env.Deployment, nil
}

// Learn implements [forward.Directory].
func (d *directory) Learn(ctx context.Context, a forward.Address, secret string) error {
	s, err := d.subscriptions.Get(ctx, a.Subscription)
	if errors.Is(err, subscription.ErrNotFound) {
		return forward.ErrNoAddress
	}
	if err != nil {
		return err
	}
	err = d.subscriptions.Learn(ctx, s, secret)
	if errors.Is(err, subscription.ErrKeyKnown) {
		return forward.ErrKeyKnown
	}
	return err
}

// Recipients implements [forward.Directory]. The key that verified the request
// is that of its address, so at a Subscription's address nobody else can be
// reached, whatever the request names.
func (d *directory) Recipients(ctx context.Context, a forward.Address, watch string, keys []connector.Key) ([]forward.Recipient, error) {
	version, err := d.version(ctx)
	if err != nil {
		return nil, err
	}
	key := cacheKey("at", a.Connector, a.Endpoint, watch)
	if a.Subscription == "" {
		parts := []string{"by key", a.Connector, a.App, watch}
		for _, k := range keys {
			parts = append(parts, string(k))
		}
		key = cacheKey(parts...)
	}
	return d.recipients.Get(ctx, key, version, func(ctx context.Context) ([]forward.Recipient, bool, error) {
		r, err := d.readRecipients(ctx, a, watch, keys)
		return r, true, err
	})
}

func (d *directory) readRecipients(ctx context.Context, a forward.Address, watch string, keys []connector.Key) ([]forward.Recipient, error) {
	var subs []subscription.Subscription
	var err error
	if a.Subscription != "" {
		subs, err = d.subscriptions.At(ctx, a.Endpoint)
	} else if len(keys) > 0 {
		subs, err = d.subscriptions.Route(ctx, a.Connector, a.App, watch, keys)
	}
	if err != nil {
		return nil, err
	}
	out := make([]forward.Recipient, 0, len(subs))
	for _, s := range subs {
		if (watch != "" && s.Watch != watch) || s.State == subscription.Removing {
			continue
		}
		_, conn, err := d.alive(ctx, []subscription.Subscription{s})
		if errors.Is(err, forward.ErrAddressGone) || errors.Is(err, auth.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		r, err := d.recipient(ctx, s, conn)
		if errors.Is(err, deployment.ErrNotFound) {
			continue // the Environment is being deleted
		}
		if err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, nil
}

func (d *directory) recipient(ctx context.Context, s subscription.Subscription, conn auth.Record) (forward.Recipient, error) {
	dep, err := d.deploymentOf(ctx, s.Environment)
	return forward.Recipient{
		Connection: s.Connection, Account: s.Account, Deployment: dep, Environment: s.Environment,
		Subscription: s.ID, Watch: s.Watch, Params: s.Params, Overrides: conn.Params,
	}, err
}

var _ forward.Disconnecter = (*directory)(nil)

// Disconnect implements [forward.Disconnecter]. Watches and tokens are removed
// afterwards, as for any Connection that is disconnected.
func (d *directory) Disconnect(ctx context.Context, environment, account string) (connections []string, err error) {
	for c, err := range d.auth.Connections(ctx, auth.Query{Environment: environment, Account: account}) {
		if err != nil {
			return nil, err
		}
		if err := d.auth.Disconnect(ctx, c.ID); err != nil {
			return nil, err
		}
		connections = append(connections, c.ID)
	}
	return connections, nil
}

// Subscription implements [forward.Directory].
func (d *directory) Subscription(ctx context.Context, id string) (*forward.Expandable, error) {
	s, err := d.subscriptions.Get(ctx, id)
	if errors.Is(err, subscription.ErrNotFound) || (err == nil && (s.State == subscription.Removing || s.State == subscription.Removed)) {
		return nil, forward.ErrNoAddress
	}
	if err != nil {
		return nil, err
	}
	_, conn, err := d.alive(ctx, []subscription.Subscription{s})
	if errors.Is(err, forward.ErrAddressGone) {
		return nil, forward.ErrNoAddress // disconnected: from then on nothing is fetched for it
	}
	if err != nil {
		return nil, err
	}
	if d.startingPointUnknown(s) {
		// Asked now, the connector would take this moment for the starting point,
		// and what happened since the provider made the watch would be skipped.
		return nil, &connector.RetryError{After: creationWait, Err: errors.New("its watch is still being created")}
	}
	sub, err := d.subscriptions.Describe(ctx, s)
	if err != nil {
		return nil, err
	}
	if len(s.Filters) > 0 && len(sub.Filters) == 0 {
		// Connectors take no Filters for all there is. It goes on from its cursor
		// when the params have changed.
		return nil, &connector.RetryError{After: rejectedWait, Err: errors.New("the provider says that none of its params can work")}
	}
	r, err := d.recipient(ctx, s, conn)
	if err != nil {
		return nil, err
	}
	session, err := d.auth.Session(ctx, s.Connection)
	if err != nil {
		return nil, err
	}
	return &forward.Expandable{Recipient: r, Connector: s.Connector, App: s.App, Session: session, Subscription: sub}, nil
}

// creationWait is how long a notice waits that overtook the answer which
// creates its watch.
const creationWait = time.Second

// rejectedWait is how long nothing is asked about a watch whose params cannot work.
const rejectedWait = time.Hour

// startingPointUnknown reports whether the provider is being told about a watch
// and has not yet said from where on it reports.
func (d *directory) startingPointUnknown(s subscription.Subscription) bool {
	if s.State != subscription.Pending || s.Cursor != "" {
		return false
	}
	e, ok := d.registry.Lookup(s.Connector)
	if !ok || e.Subscriber == nil {
		return false
	}
	w, ok := e.Watch(s.Watch)
	return ok && w.Intake != connector.FromPoll
}

// Signal implements [forward.Directory].
func (d *directory) Signal(ctx context.Context, r forward.Recipient, s connector.Signal, reason string) error {
	switch s {
	case connector.SignalNone:
		return nil
	case connector.SignalRevoked:
		return d.auth.MarkRevoked(ctx, r.Connection, reason)
	case connector.SignalRestored:
		return d.auth.MarkActive(ctx, r.Connection)
	case connector.SignalIdentity:
		return d.auth.Reidentify(ctx, r.Connection)
	case connector.SignalGap:
		return d.gap(ctx, r, reason)
	case forward.SignalExpired, forward.SignalScope:
		if err := d.subscriptions.Stall(ctx, r.Subscription, reason); err != nil {
			return err
		}
		if s == forward.SignalScope {
			return d.auth.MarkNeedsConsent(ctx, r.Connection, reason)
		}
		return d.auth.MarkExpired(ctx, r.Connection, reason)
	default: // about the watch
		return d.subscriptions.Signal(ctx, r.Subscription, s)
	}
}

// Settings implements [forward.Directory].
func (d *directory) Settings(ctx context.Context, environment string) (forward.Settings, error) {
	return d.deployments.SettingsInForce(ctx, environment)
}
