package deployment

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/interactorhq/interactor/internal/id"
)

// KeyRequest asks for an API key.
type KeyRequest struct {
	Environment string        // "env_…". Defaults to the default one
	Grace       time.Duration // how long the key before stays valid, at most MaxGrace. Defaults to not at all
	Key         string        // a random key of your own, 32 to 255 printable characters. Defaults to a fresh one

	// Managed says that Key belongs to the program or to its config file, which
	// issues it at every start. Replacing it elsewhere is refused from then on
	// ([ErrManaged]): the next start would bring back the key that was replaced.
	Managed bool
}

// MaxGrace is the longest grace of a key that is replaced.
const MaxGrace = 30 * 24 * time.Hour

const (
	minKey = 32
	maxKey = 255

	// minDistinct characters of an own key. Not a measure of randomness: it stops
	// "xxxxxxxx…" and the like, as an example in a config file may have it. 32
	// random hexadecimal digits have fewer than 8 less than once in 20 million.
	minDistinct = 8
)

// IssueKey returns a new API key, "itk_…". Only its hash is kept: this is the one
// time to see it. It replaces the key before, at once or after req.Grace; keys
// that were in their grace keep their end, or lose it with a zero Grace.
//
// Issuing an own key that is the current one already changes nothing, so a
// program with a fixed key may do it at every start, with Managed. [ErrKeyTaken]
// means that another environment has, or had, that key.
func (s *Service) IssueKey(ctx context.Context, req KeyRequest) (string, error) {
	if req.Grace < 0 || req.Grace > MaxGrace {
		return "", fmt.Errorf("deployment: grace is %s: it must be between 0 and %s", req.Grace, MaxGrace)
	}
	if req.Managed && req.Key == "" {
		return "", errors.New("deployment: Managed is for a Key of your own: name it")
	}
	environment, err := s.environment(ctx, req.Environment)
	if err != nil {
		return "", err
	}
	key := req.Key
	if key == "" {
		key = id.APIKey()
	} else if err := checkOwnKey(key); err != nil {
		return "", err
	}
	if _, managed := s.managedKeys.Load(environment); managed && !req.Managed {
		return "", fmt.Errorf("%w: the API key of %s", ErrManaged, environment)
	}
	now := s.now()
	var oldUntil time.Time
	if req.Grace > 0 {
		oldUntil = now.Add(req.Grace)
	}
	if err := s.store.PutKey(ctx, Key{Environment: environment, Hash: hashKey(key), IssuedAt: now}, oldUntil); err != nil {
		return "", err
	}
	if req.Managed {
		s.managedKeys.Store(environment, nil)
	}
	return key, nil
}

// Authenticate returns the environment that an API key belongs to, or
// [ErrBadKey]. It asks the store each time, so that a replaced key is refused at
// once; only what cannot be a key is refused without asking.
func (s *Service) Authenticate(ctx context.Context, key string) (Environment, error) {
	e, _, err := s.authenticate(ctx, key)
	return e, err
}

// Current returns [ErrBadKey] for a key that Authenticate takes only because of
// its grace period. Such a key must not be able to issue a new one: whoever holds
// a key that leaked would outlive its replacement.
func (s *Service) Current(ctx context.Context, key string) error {
	_, k, err := s.authenticate(ctx, key)
	if err == nil && !k.Until.IsZero() {
		return ErrBadKey
	}
	return err
}

func (s *Service) authenticate(ctx context.Context, key string) (Environment, Key, error) {
	if !plausible(key) {
		return Environment{}, Key{}, ErrBadKey
	}
	hash := hashKey(key)
	e, k, err := s.store.EnvironmentByKey(ctx, hash)
	switch {
	case errors.Is(err, ErrNotFound):
		return Environment{}, Key{}, ErrBadKey
	case err != nil:
		return Environment{}, Key{}, err
	case subtle.ConstantTimeCompare(hash, k.Hash) != 1, k.Environment != e.ID:
		return Environment{}, Key{}, ErrBadKey // whatever a store takes for equal
	case !k.Until.IsZero() && !s.now().Before(k.Until):
		return Environment{}, Key{}, ErrBadKey
	}
	return e, k, nil
}

// hashKey is a plain hash on purpose. A key has 256 random bits, so that nobody
// can try them out however fast the hash is; a slow one, as passwords need,
// would only make each request slow.
func hashKey(key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return sum[:]
}

// plausible refuses without a look-up what cannot be a key, such as one of ours
// with a typo.
func plausible(key string) bool {
	if len(key) < minKey || len(key) > maxKey {
		return false
	}
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return false
		}
	}
	return !strings.HasPrefix(key, "itk_") || id.ValidAPIKey(key)
}

// checkOwnKey names what is wrong, never the key.
func checkOwnKey(key string) error {
	distinct := make(map[byte]bool)
	for i := range len(key) {
		distinct[key[i]] = true
	}
	const advice = `make one with "openssl rand -hex 32"`
	switch {
	case len(key) < minKey || len(key) > maxKey:
		return fmt.Errorf("deployment: Key has %d characters: it must have %d to %d; %s", len(key), minKey, maxKey, advice)
	case strings.HasPrefix(key, "itk_") && !id.ValidAPIKey(key):
		return errors.New(`deployment: Key begins with "itk_" but its checksum is wrong: copy it again`)
	case !plausible(key):
		return fmt.Errorf("deployment: Key has characters that do not fit into a header, such as a space; %s", advice)
	case len(distinct) < minDistinct:
		return fmt.Errorf("deployment: Key is not random: it has %d different characters only; %s", len(distinct), advice)
	}
	return nil
}
