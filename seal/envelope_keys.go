package seal

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// sealer returns the data key to seal with, and makes the next one when it is
// time to. Of several who need it, one asks the KMS.
func (e *Envelope) sealer(ctx context.Context) (*dataKey, error) {
	for {
		e.mu.Lock()
		key := e.current
		ready := key != nil && (e.alive(key.made) || e.cfg.Now().Before(e.renewAt))
		e.mu.Unlock()
		if ready {
			return key, nil
		}
		select {
		case e.making <- struct{}{}:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		key, again, err := e.next(ctx)
		<-e.making
		if !again {
			return key, err
		}
	}
}

// next makes a data key unless somebody has done so. making is held.
func (e *Envelope) next(ctx context.Context) (key *dataKey, again bool, err error) {
	e.mu.Lock()
	former := e.current
	now := e.cfg.Now()
	switch {
	case former != nil && (e.alive(former.made) || now.Before(e.renewAt)):
		e.mu.Unlock()
		return nil, true, nil
	case former == nil && now.Before(e.renewAt) && e.renewAt.Sub(now) <= kmsRest:
		e.mu.Unlock()
		return nil, false, fmt.Errorf("%w: it could not encrypt a data key a moment ago: see that it answers and that the key is enabled", ErrKMS)
	}
	e.mu.Unlock()
	key, err = e.make(ctx)
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case err == nil:
		e.current, e.renewAt = key, time.Time{}
		e.put(key)
		return key, false, nil
	case former != nil: // a KMS that is away stops nothing
		e.cfg.Logger.WarnContext(ctx, "the KMS could not encrypt a new data key; the former one is used on", "error", err)
		e.renewAt = e.cfg.Now().Add(renewRest)
		return former, false, nil
	}
	e.renewAt = e.cfg.Now().Add(kmsRest)
	return nil, false, err
}

func (e *Envelope) make(ctx context.Context) (*dataKey, error) {
	var secret [keySize]byte
	rand.Read(secret[:]) // never fails: it ends the program instead
	// A caller that goes away takes nothing from the others who wait for the key.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.Timeout)
	defer cancel()
	wrapped, err := e.cfg.Keys[0].KMS.Encrypt(ctx, append([]byte(nil), secret[:]...))
	if err != nil {
		return nil, fmt.Errorf("%w to encrypt a data key with %s: %w", ErrKMS, e.cfg.Keys[0].Name, err)
	}
	if len(wrapped) == 0 || len(wrapped) > maxWrapped {
		return nil, fmt.Errorf("%w: it made %d bytes of a data key, at most %d are possible", ErrKMS, len(wrapped), maxWrapped)
	}
	made := e.cfg.Now().Truncate(time.Second)
	header := append([]byte{version2}, e.names[0][:]...)
	header = binary.BigEndian.AppendUint64(header, uint64(made.Unix()))  //nolint:gosec // read back as it was
	header = binary.BigEndian.AppendUint16(header, uint16(len(wrapped))) //nolint:gosec // its length was checked
	key := &dataKey{header: string(append(header, wrapped...)), made: made, done: make(chan struct{})}
	key.secret = func() [keySize]byte { return secret }
	close(key.done)
	return key, nil
}

// opener returns the data key of a header. Of several who want the same one, one
// asks the KMS; a call that failed is not made again for a moment.
func (e *Envelope) opener(ctx context.Context, header string, kms int) (*dataKey, error) {
	e.mu.Lock()
	key := e.opened[header]
	if key != nil && !key.until.IsZero() && !e.cfg.Now().Before(key.until) {
		key = nil
	}
	mine := key == nil
	if mine {
		key = &dataKey{header: header, made: madeAt([]byte(header)), done: make(chan struct{})}
		e.put(key)
	}
	e.mu.Unlock()
	if mine {
		e.ask(ctx, key, kms)
	}
	select {
	case <-key.done:
		return key, key.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (e *Envelope) ask(ctx context.Context, key *dataKey, kms int) {
	defer close(key.done)
	key.err = fmt.Errorf("%w: its client panicked", ErrKMS) // unless it returns
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if key.err != nil {
			key.until = e.cfg.Now().Add(kmsRest)
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.Timeout)
	defer cancel()
	secret, err := e.cfg.Keys[kms].KMS.Decrypt(ctx, []byte(key.header[dataKeyHeader:]))
	switch {
	case errors.Is(err, ErrDamaged), errors.Is(err, ErrNoKey):
		key.err = err
	case err != nil:
		key.err = fmt.Errorf("%w to decrypt a data key with %s: %w", ErrKMS, e.cfg.Keys[kms].Name, err)
	case len(secret) != keySize:
		key.err = fmt.Errorf("%w: what the KMS decrypted is no data key", ErrDamaged)
	default:
		raw := [keySize]byte(secret)
		clear(secret)
		key.secret, key.err = func() [keySize]byte { return raw }, nil
	}
}

// adopt seals on with a data key of a former process, whose age was authenticated
// by opening a value: a restart need not cost a new one.
func (e *Envelope) adopt(key *dataKey) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current == nil && e.alive(key.made) {
		e.current, e.renewAt = key, time.Time{}
	}
}

// put keeps a data key; when there are too many, any other one goes. e.mu is held.
func (e *Envelope) put(key *dataKey) {
	if _, there := e.opened[key.header]; !there && len(e.opened) >= openedDataKeys {
		for other := range e.opened {
			delete(e.opened, other)
			break
		}
	}
	e.opened[key.header] = key
}
