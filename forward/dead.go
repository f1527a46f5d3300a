package forward

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/interactorhq/interactor/connector"
	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/seal"
)

// kept is the stored form of an Inbound: what the provider sent, and none of
// the secrets that verified it.
type kept struct {
	Method       string      `json:"method"`
	URL          string      `json:"url"`
	Header       http.Header `json:"header"`
	Body         []byte      `json:"body"`
	ReceivedAt   time.Time   `json:"received_at"`
	Watch        string      `json:"watch,omitempty"`
	Subscription string      `json:"subscription,omitempty"`
}

// keepDead makes a batch of a request that was verified but not understood.
func (f *Forwarder) keepDead(ctx context.Context, entry *connector.Entry, addr Address, in *connector.Inbound, why error) (*intake, error) {
	f.count.undecodable.Add(1)
	f.log.ErrorContext(ctx, "request could not be decoded; it is kept as a dead event", "connector", entry.Name, "endpoint", addr.Endpoint, "error", why)
	dead := DeadInbound{
		ID: id.New("evt", in.ReceivedAt), Connector: entry.Name, Endpoint: addr.Endpoint,
		Connection: addr.Connection, Account: addr.Account, Deployment: addr.Deployment, Environment: addr.Environment,
		ReceivedAt: in.ReceivedAt, Reason: excerpt("could not be decoded: " + why.Error()),
	}
	request, err := json.Marshal(kept{in.Method, in.URL, in.Header, in.Body, in.ReceivedAt, in.Watch, in.Subscription})
	if err != nil {
		return nil, err
	}
	if dead.Request, err = sealLarge(ctx, f.cfg.Keeper, request, bindDead(dead.ID)); err != nil {
		return nil, err
	}
	b := f.newIntake(entry, addr, in.ReceivedAt)
	b.batch.Dead = []DeadInbound{dead}
	return b, nil
}

// revive decodes a dead request again, which helps after an upgrade, and stores
// what it holds. It returns the first delivery that came of it.
func (f *Forwarder) revive(ctx context.Context, dead DeadInbound) (Delivery, error) {
	b, err := f.understand(ctx, dead)
	if err != nil {
		return Delivery{}, fmt.Errorf("forward: replay %s: %w", dead.ID, err)
	}
	if err := b.commit(ctx); err != nil {
		return Delivery{}, fmt.Errorf("forward: replay %s: %w", dead.ID, err)
	}
	for _, t := range b.batch.Tasks {
		if t.Kind == Deliver {
			return Delivery{ID: t.ID, Event: t.Event.ID, Status: Pending, NextAt: t.Due}, nil
		}
	}
	return Delivery{Event: dead.ID, Status: Pending}, nil // it has to be expanded first
}

// understand decodes a dead request again and takes in what it holds. It stores
// nothing. An *undecodableError means that trying again is no use.
func (f *Forwarder) understand(ctx context.Context, dead DeadInbound) (*intake, error) {
	hopeless := func(format string, args ...any) (*intake, error) {
		return nil, &undecodableError{fmt.Errorf(format, args...)}
	}
	entry, ok := f.registry.Lookup(dead.Connector)
	if !ok || entry.Decoder == nil {
		return hopeless("there is no connector %q any longer", dead.Connector)
	}
	addr, err := f.address(ctx, dead.Connector, dead.Endpoint)
	if errors.Is(err, ErrNoAddress) {
		addr, err = f.streamAddress(ctx, entry, dead.Endpoint)
	}
	switch {
	case errors.Is(err, ErrNoAddress), errors.Is(err, ErrAddressGone):
		return hopeless("its address: %w", err)
	case err != nil:
		return nil, fmt.Errorf("its address: %w", err)
	}
	request, err := openLarge(ctx, f.cfg.Keeper, dead.Request, bindDead(dead.ID))
	switch {
	case errors.Is(err, errDamaged), errors.Is(err, seal.ErrNoKey), errors.Is(err, seal.ErrDamaged):
		return hopeless("%w", err)
	case err != nil: // a KMS may be away
		return nil, err
	}
	var k kept
	if err := json.Unmarshal(request, &k); err != nil {
		return hopeless("the request is damaged: %w", err)
	}
	decoded, err := f.decode(ctx, entry, &connector.Inbound{
		Method: k.Method, URL: k.URL, Header: k.Header, Body: k.Body, ReceivedAt: k.ReceivedAt,
		Watch: k.Watch, Subscription: k.Subscription, Secrets: addr.Secrets, App: addr.AppFields, Values: addr.Values,
	})
	if err != nil {
		return nil, fmt.Errorf("it still cannot be decoded: %w", err)
	}
	b := f.newIntake(entry, addr, f.now().UTC())
	b.inbound = dead.ID
	if err := b.notices(ctx, decoded.Notices, nil); err != nil {
		return nil, err
	}
	if len(b.batch.Tasks) == 0 && len(b.signals) == 0 {
		return hopeless("it can be decoded now, but nobody wants what it holds")
	}
	return b, nil
}

var errDamaged = errors.New("the request is damaged")

func bindDead(id string) []byte { return []byte(id + "/request") }

// A request is larger than what a Keeper seals (a KMS takes a few kilobytes), so
// it is sealed under a key of its own, and the Keeper seals that:
//
//	form 1 byte (0 plain, 1 sealed) | [ length of the sealed key 2 bytes | sealed key | AES-256-GCM nonce and ciphertext ]
//
// A key is used once, so its nonce may be zero. bind is authenticated by both.
const (
	formPlain  = 0
	formSealed = 1
)

func sealLarge(ctx context.Context, keeper seal.Keeper, plaintext, bind []byte) ([]byte, error) {
	if keeper == nil {
		return append([]byte{formPlain}, plaintext...), nil
	}
	key := make([]byte, 32)
	rand.Read(key) // never fails: it ends the program instead
	sealed, err := keeper.Seal(ctx, key, bind)
	if err != nil {
		return nil, err
	}
	if len(sealed) > 1<<16-1 {
		return nil, errors.New("forward: the Keeper made more than 64 KiB of a key")
	}
	aead, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, 3+len(sealed)+len(plaintext)+aead.Overhead())
	out = binary.BigEndian.AppendUint16(append(out, formSealed), uint16(len(sealed))) //nolint:gosec // its length was checked
	out = append(out, sealed...)
	return aead.Seal(out, make([]byte, aead.NonceSize()), plaintext, bind), nil //nolint:gosec // the key is used once, so its nonce may be zero
}

func openLarge(ctx context.Context, keeper seal.Keeper, b, bind []byte) ([]byte, error) {
	switch {
	case len(b) > 0 && b[0] == formPlain:
		return b[1:], nil
	case len(b) < 3 || b[0] != formSealed || len(b) < 3+int(binary.BigEndian.Uint16(b[1:])):
		return nil, errDamaged
	case keeper == nil:
		return nil, errors.New("the request is sealed: set Keeper")
	}
	end := 3 + int(binary.BigEndian.Uint16(b[1:]))
	key, err := keeper.Open(ctx, b[3:end], bind)
	if err != nil {
		return nil, err
	}
	aead, err := newGCM(key)
	if err != nil {
		return nil, err
	}
	plaintext, err := aead.Open(nil, make([]byte, aead.NonceSize()), b[end:], bind)
	if err != nil {
		return nil, errDamaged
	}
	return plaintext, nil
}

func newGCM(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
