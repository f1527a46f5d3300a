package seal

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// A value that an Envelope has sealed:
//
//	version 1 byte | name of the KMS key 8 bytes | when the data key was made 8 bytes |
//	length 2 bytes | data key as the KMS encrypted it | salt 32 bytes | AES-256-GCM ciphertext and tag
//
// As in a Ring, key and nonce of each value are derived from the data key and the
// salt. Everything before the ciphertext is authenticated together with bind,
// which a KMS without associated data needs not know.
const (
	version2       = 2
	keyNameSize    = 8
	dataKeyHeader  = 1 + keyNameSize + 8 + 2 // before the encrypted data key
	maxWrapped     = 16 << 10                // a data key as a KMS encrypted it
	maxKMSKeys     = 100
	openedDataKeys = 1024 // kept decrypted; a process makes about one a month

	defaultDataKeyLife = 30 * 24 * time.Hour
	defaultKMSTimeout  = 10 * time.Second
	kmsRest            = time.Second // after a call that failed, the same one is not made
	renewRest          = time.Minute // after a data key that could not be made while there is one
)

// ErrKMS means that a key management service did not do what it was asked for: it
// is away, or the key is disabled. What needs it fails until it is back.
var ErrKMS = errors.New("seal: the key management service failed")

// KMS encrypts and decrypts data keys, of 32 bytes. It need not bind them to
// anything. *secrets.Keeper of gocloud.dev is one, and a few lines around any
// vendor's client are. An error of Decrypt that is [ErrDamaged] or [ErrNoKey] is
// taken to be final; every other one may pass.
type KMS interface {
	Encrypt(ctx context.Context, plaintext []byte) ([]byte, error)
	Decrypt(ctx context.Context, ciphertext []byte) ([]byte, error)
}

// KMSKey is a key at a KMS. Name is stored with what it seals, as a hash, to find
// the key again: it must stay the same, and be another one for another key. Use
// the key's own name, such as its URL or ARN.
type KMSKey struct {
	Name string
	KMS  KMS
}

// EnvelopeConfig is the Config of an [Envelope].
type EnvelopeConfig struct {
	// Keys: the first one encrypts new data keys, all of them decrypt. Required.
	Keys []KMSKey

	// DataKeyLife is how long a data key seals. One that is older opens on, and
	// Current is false for what it sealed. Defaults to 30 days.
	DataKeyLife time.Duration

	// Timeout of one call to the KMS. Defaults to 10 s.
	Timeout time.Duration

	Logger *slog.Logger     // Defaults to none
	Now    func() time.Time // Defaults to time.Now
}

// Envelope is a [Keeper] whose key never leaves a KMS. Values are sealed under
// data keys, which the KMS has encrypted and which stand, encrypted, in front of
// each value. A data key is kept decrypted in memory for as long as the process
// lives, so the KMS is asked once for each data key, and about one new data key in
// DataKeyLife: never for a delivery, a request or a token. The other side of that
// is that a process that runs goes on after the key was disabled, until it ends.
//
// When the KMS does not answer, whatever needs a data key that was not decrypted
// before fails with [ErrKMS], and everything else goes on. Make one with
// [NewEnvelope]. It is safe for concurrent use.
type Envelope struct {
	cfg   EnvelopeConfig
	names [][keyNameSize]byte // of cfg.Keys

	mu      sync.Mutex
	current *dataKey
	renewAt time.Time // when to try to make the next one, at the earliest
	opened  map[string]*dataKey
	making  chan struct{} // holds one
}

// dataKey is one that was made or opened, or is about to be. done is closed when
// it is known which.
type dataKey struct {
	header string // what stands in front of its values
	made   time.Time
	done   chan struct{}
	secret func() [keySize]byte // see ringKey.secret
	err    error
	until  time.Time // of err: when to ask again
}

var (
	_ Keeper         = (*Envelope)(nil)
	_ fmt.Formatter  = (*Envelope)(nil)
	_ slog.LogValuer = (*Envelope)(nil)
)

// NewEnvelope checks cfg, and reports all that is wrong with it at once. It calls
// no KMS.
func NewEnvelope(cfg EnvelopeConfig) (*Envelope, error) {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("seal: EnvelopeConfig."+format, args...))
	}
	if len(cfg.Keys) == 0 || len(cfg.Keys) > maxKMSKeys {
		bad("Keys has %d entries: name 1 to %d keys at a KMS, the one that seals in front", len(cfg.Keys), maxKMSKeys)
	}
	e := &Envelope{opened: make(map[string]*dataKey), making: make(chan struct{}, 1)}
	seen := make(map[string]bool)
	for i, k := range cfg.Keys {
		switch {
		case k.Name == "":
			bad("Keys[%d].Name is empty: give the name of the key at its KMS", i)
		case seen[k.Name]:
			bad("Keys[%d].Name is there twice: leave one of them out", i)
		}
		if k.KMS == nil {
			bad("Keys[%d].KMS is missing", i)
		}
		seen[k.Name] = true
		sum := sha256.Sum256([]byte("interactor/seal/v2 key\x00" + k.Name))
		e.names = append(e.names, [keyNameSize]byte(sum[:]))
	}
	if cfg.DataKeyLife < 0 || cfg.Timeout < 0 {
		bad("DataKeyLife or Timeout is negative")
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if cfg.DataKeyLife == 0 {
		cfg.DataKeyLife = defaultDataKeyLife
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultKMSTimeout
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	e.cfg = cfg
	e.cfg.Keys = append([]KMSKey(nil), cfg.Keys...)
	return e, nil
}

// Seal implements [Keeper]. It asks the KMS when there is no data key yet, or its
// life is over; in the second case the former one is used on when the KMS fails.
func (e *Envelope) Seal(ctx context.Context, plaintext, bind []byte) ([]byte, error) {
	if len(plaintext) > MaxPlaintext {
		return nil, ErrTooLarge
	}
	if len(bind) == 0 {
		return nil, ErrNoBind
	}
	key, err := e.sealer(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]byte, len(key.header)+saltSize, len(key.header)+saltSize+len(plaintext)+tagSize)
	copy(out, key.header)
	salt := out[len(key.header):]
	rand.Read(salt) // never fails: it ends the program instead
	return valueKeyOf(key.secret(), salt).seal(out, plaintext, associated(out, bind)), nil
}

// Open implements [Keeper]. It asks the KMS when the value's data key was not
// opened by this process before. Errors: [ErrNoKey], [ErrDamaged], [ErrNoBind],
// [ErrKMS], and that of ctx.
func (e *Envelope) Open(ctx context.Context, sealed, bind []byte) ([]byte, error) {
	if len(bind) == 0 {
		return nil, ErrNoBind
	}
	header, err := envelopeHeader(sealed)
	if err != nil {
		return nil, err
	}
	kms := e.keyOf(header)
	if kms < 0 {
		return nil, ErrNoKey
	}
	key, err := e.opener(ctx, string(header), kms)
	if err != nil {
		return nil, err
	}
	head := sealed[:len(header)+saltSize]
	plaintext, ok := valueKeyOf(key.secret(), head[len(header):]).open(sealed[len(head):], associated(head, bind))
	if !ok {
		return nil, ErrDamaged
	}
	if kms == 0 {
		e.adopt(key)
	}
	return plaintext, nil
}

// Current reports whether a value is sealed under the first key, by a data key
// whose life is not over.
func (e *Envelope) Current(sealed []byte) bool {
	header, err := envelopeHeader(sealed)
	return err == nil && e.keyOf(header) == 0 && e.alive(madeAt(header))
}

// String hides everything but how many keys there are.
func (e *Envelope) String() string { return fmt.Sprintf("seal.Envelope(%d keys)", len(e.names)) }

// Format hides the keys from every verb of package fmt.
func (e *Envelope) Format(f fmt.State, _ rune) { fmt.Fprint(f, e.String()) }

// LogValue hides the keys.
func (e *Envelope) LogValue() slog.Value { return slog.StringValue(e.String()) }

// envelopeHeader returns what stands before the salt.
func envelopeHeader(sealed []byte) ([]byte, error) {
	if len(sealed) > 0 && sealed[0] != version2 {
		return nil, errForeign
	}
	if len(sealed) < dataKeyHeader {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrDamaged, len(sealed))
	}
	size := int(binary.BigEndian.Uint16(sealed[dataKeyHeader-2:]))
	rest := len(sealed) - dataKeyHeader - size - saltSize - tagSize
	if size == 0 || size > maxWrapped || rest < 0 || rest > MaxPlaintext {
		return nil, fmt.Errorf("%w: it has %d bytes", ErrDamaged, len(sealed))
	}
	return sealed[:dataKeyHeader+size], nil
}

func madeAt(header []byte) time.Time {
	return time.Unix(int64(binary.BigEndian.Uint64(header[1+keyNameSize:])), 0) //nolint:gosec // any number is some time
}

// keyOf returns which of the keys encrypted a data key, or -1.
func (e *Envelope) keyOf(header []byte) int {
	for i, name := range e.names {
		if string(header[1:1+keyNameSize]) == string(name[:]) {
			return i
		}
	}
	return -1
}

func (e *Envelope) alive(made time.Time) bool {
	age := e.cfg.Now().Sub(made)
	return age < e.cfg.DataKeyLife && age > -e.cfg.DataKeyLife
}
