package faults_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/interactorhq/interactor/connector"
	connectorwebhook "github.com/interactorhq/interactor/connector/webhook"
	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/realtest/faults/disk"
	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

// insertDisk puts the disk with its faults in, if there is to be one.
func (s *service) insertDisk() error {
	kill := strings.HasPrefix(s.KillAt, "disk:")
	if s.Platter == "" && s.Disk == "" && !kill {
		return nil
	}
	s.disk = disk.New()
	s.disk.Hook = s.diskHook
	if s.Platter != "" {
		durable := s.Dir
		if s.Durable != "" {
			durable = s.Durable
		}
		p, err := disk.NewPlatter(durable, s.Platter)
		if err != nil {
			return err
		}
		s.disk.Platter, s.disk.Fast, s.disk.Unsynced = p, true, s.Planted == plantedUnsynced
	}
	return nil
}

// diskHook decides about each call of SQLite.
func (s *service) diskHook(op disk.Op, kind disk.Kind) error {
	s.point("disk:" + string(op) + ":" + string(kind))
	if s.Platter != "" {
		s.passBorder(op)
	}
	fails, with := s.fault(op, kind)
	if fails && s.armed.Load() && s.syncs.Add(1) == int64(s.KillNth) {
		return with // once: a disk that is well again must not be believed
	}
	switch {
	case s.Disk == diskFull && s.full.Load() && op == disk.Write:
		return disk.ErrFull
	case s.Disk == diskSlow && op == disk.Sync:
		s.mu.Lock()
		d := time.Duration(s.random.IntN(150)) * time.Millisecond
		s.mu.Unlock()
		<-time.After(d)
	}
	return nil
}

// fault says whether an operation is one of those of which one fails.
func (s *service) fault(op disk.Op, kind disk.Kind) (bool, error) {
	switch s.Disk {
	case diskWrite:
		return op == disk.Write && kind == disk.WAL, disk.ErrWrite
	case diskSync:
		return op == disk.Sync && kind == disk.WAL, disk.ErrSync
	case diskMain:
		return op == disk.Write && kind == disk.Main, disk.ErrWrite
	case diskMainSync:
		return op == disk.Sync && kind == disk.Main, disk.ErrSync
	case diskRead:
		return op == disk.Read && kind == disk.Main, disk.ErrRead
	case diskFull, diskSlow:
	}
	return false, nil
}

// passBorder loses power at the border of the fsync that was chosen, or some writes behind it.
func (s *service) passBorder(op disk.Op) {
	if s.LoseAt < 0 {
		return
	}
	s.mu.Lock()
	now := false
	switch op {
	case disk.Sync, disk.Synced:
		if s.border >= s.LoseAt && s.writes < 0 {
			s.writes = 0
			now = s.LoseWrites == 0
		}
		s.border++
	case disk.Write, disk.Truncate, disk.Delete:
		if s.writes >= 0 {
			s.writes++
			now = s.writes == s.LoseWrites
		}
	case disk.Open, disk.Read:
	}
	s.mu.Unlock()
	if now {
		s.losePower()
	}
}

// losePower ends the machine. What is left of the disk is in Left.
func (s *service) losePower() {
	if s.LoseAt < 0 || s.disk == nil || s.disk.Platter == nil {
		return
	}
	atRisk, err := s.disk.Platter.Lose(s.Left, s.Mode, rand.New(rand.NewPCG(s.Seed, 3)))
	if err != nil {
		fmt.Fprintln(os.Stdout, "ends: power:", err)
		os.Exit(exitOther)
	}
	// The shared memory is a file like any other, and may be left behind in any state.
	if s.Seed%3 == 0 {
		shm := make([]byte, 32<<10)
		random := rand.New(rand.NewPCG(s.Seed, 4))
		for i := range shm {
			shm[i] = byte(random.Uint32())
		}
		_ = os.WriteFile(filepath.Join(s.Left, "store.db-shm"), shm, 0o600)
	}
	fmt.Fprintln(os.Stdout, "lost", atRisk)
	killSelf()
}

// transport ends the process in the middle of a send.
type transport struct {
	*http.Transport
	point func(string)
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.point("send:before")
	res, err := t.Transport.RoundTrip(r)
	t.point("send:after")
	return res, err
}

// panicky is a connector that panics now and then.
type panicky struct {
	connectorwebhook.Connector
	mu     sync.Mutex
	random *rand.Rand
}

func (p *panicky) maybe(what string) {
	p.mu.Lock()
	now := p.random.IntN(20) == 0
	p.mu.Unlock()
	if now {
		panic("on purpose: " + what)
	}
}

// Verify implements connector.Verifier.
func (p *panicky) Verify(ctx context.Context, in *connector.Inbound) error {
	p.maybe("Verify")
	return p.Connector.Verify(ctx, in)
}

// Decode implements connector.Decoder.
func (p *panicky) Decode(in *connector.Inbound) (*connector.Decoded, error) {
	p.maybe("Decode")
	return p.Connector.Decode(in)
}

// courier is an OnEvent that carries events to the receiver, and panics or fails now and then,
// before or after.
type courier struct {
	url    string
	signer webhook.Signer
	client *http.Client
	mu     sync.Mutex
	random *rand.Rand
}

func newCourier(url, secret string, random *rand.Rand) *courier {
	return &courier{
		url: url, signer: webhook.Signer{Secrets: []string{secret}}, random: random,
		client: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}},
	}
}

func (c *courier) carry(ctx context.Context, ev trigger.Event) error {
	c.mu.Lock()
	luck := c.random.IntN(30)
	c.mu.Unlock()
	switch luck {
	case 0:
		panic("on purpose: before")
	case 1:
		return errors.New("on purpose")
	}
	body, err := ev.AppendJSON(nil)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if err := c.signer.Sign(req.Header, ev.ID, time.Now(), body); err != nil {
		return err
	}
	res, err := c.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	if res.StatusCode != http.StatusNoContent {
		return errors.New(res.Status)
	}
	if luck == 2 {
		panic("on purpose: after")
	}
	return nil
}

// tenants is a Directory of many destinations, each with an address of its own.
type tenants struct {
	settings forward.Settings
	n        int
	secret   string
	scheme   string
}

var _ forward.Directory = (*tenants)(nil)

// Address implements forward.Directory.
func (d *tenants) Address(_ context.Context, name, endpoint string) (forward.Address, error) {
	i, err := strconv.Atoi(strings.TrimPrefix(endpoint, "d"))
	if err != nil || i < 0 || i >= d.n {
		return forward.Address{}, forward.ErrNoAddress
	}
	return forward.Address{
		Connector: name, Endpoint: endpoint, Secrets: []string{d.secret}, Environment: "env_" + strconv.Itoa(i),
		Connection: "conn_" + strconv.Itoa(i), Subscription: "sub_" + strconv.Itoa(i), Values: map[string]string{"scheme": d.scheme},
	}, nil
}

// Learn implements forward.Directory.
func (d *tenants) Learn(context.Context, forward.Address, string) error { return forward.ErrKeyKnown }

// Recipients implements forward.Directory.
func (d *tenants) Recipients(_ context.Context, a forward.Address, _ string, _ []connector.Key) ([]forward.Recipient, error) {
	return []forward.Recipient{{Connection: a.Connection, Environment: a.Environment, Subscription: a.Subscription}}, nil
}

// Subscription implements forward.Directory.
func (d *tenants) Subscription(context.Context, string) (*forward.Expandable, error) {
	return nil, forward.ErrNoAddress
}

// Signal implements forward.Directory.
func (d *tenants) Signal(context.Context, forward.Recipient, connector.Signal, string) error {
	return nil
}

// Settings implements forward.Directory.
func (d *tenants) Settings(_ context.Context, environment string) (forward.Settings, error) {
	s := d.settings
	s.URL += "/" + environment
	return s, nil
}
