package webhook_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/interactorhq/interactor/webhook"
)

func b64(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i + 1)
	}
	return base64.StdEncoding.EncodeToString(b)
}

func TestSecretRules(t *testing.T) {
	t.Parallel()
	raw, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(specPrivate, "whsk_"))
	require.NoError(t, err)
	mixed := append([]byte{}, raw...)
	other := ed25519.NewKeyFromSeed([]byte(strings.Repeat("ab", 16)))
	copy(mixed[32:], other[32:])
	const sign, verify = 1, 2
	for _, row := range []struct {
		name   string
		secret string
		good   int // for whom
	}{
		{"symmetric, 24 bytes", "whsec_" + b64(24), sign | verify},
		{"symmetric, 64 bytes", "whsec_" + b64(64), sign | verify},
		{"private key", specPrivate, sign},
		{"public key", specPublic, verify},
		{"empty", "", 0},
		{"prefix alone", "whsec_", 0},
		{"private prefix alone", "whsk_", 0},
		{"public prefix alone", "whpk_", 0},
		{"no prefix", b64(32), 0},
		{"prefix in upper case", "WHSEC_" + b64(32), 0},
		{"23 bytes", "whsec_" + b64(23), 0},
		{"65 bytes", "whsec_" + b64(65), 0},
		{"no padding", "whsec_" + strings.TrimRight(b64(32), "="), 0},
		{"URL alphabet", "whsec_" + strings.Repeat("-_", 16), 0},
		{"no base64", "whsec_" + strings.Repeat("!", 32), 0},
		{"line break at the end", specSecret + "\n", 0},
		{"line break inside", specSecret[:20] + "\n" + specSecret[20:], 0},
		{"space before", " " + specSecret, 0},
		{"zeros", "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 32)), 0},
		{"public key of zeros", "whpk_" + base64.StdEncoding.EncodeToString(make([]byte, 32)), 0},
		{"public key of 31 bytes", "whpk_" + b64(31), 0},
		{"private key of 32 bytes", "whsk_" + base64.StdEncoding.EncodeToString(raw[:32]), 0},
		{"private key with another public half", "whsk_" + base64.StdEncoding.EncodeToString(mixed), 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			check := func(err error, good bool) {
				t.Helper()
				if good {
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, webhook.ErrSecret)
				if len(row.secret) > 10 {
					assert.NotContains(t, err.Error(), row.secret[6:])
				}
			}
			check(webhook.ValidateSecret(row.secret), row.good&sign != 0)
			check(webhook.Signer{Secrets: []string{row.secret}}.Validate(), row.good&sign != 0)

			v := webhook.Verifier{Secrets: []string{specSecret, row.secret}, Now: specTime}
			check(v.Validate(), row.good&verify != 0)
			check(v.Verify(specHeader(specV1), []byte(specBody)), row.good&verify != 0)
		})
	}
}

func TestNoSecretIsNeverAPass(t *testing.T) {
	t.Parallel()
	for _, secrets := range [][]string{nil, {}} {
		v := webhook.Verifier{Secrets: secrets, Now: specTime}
		require.ErrorIs(t, v.Verify(specHeader(specV1), []byte(specBody)), webhook.ErrNoSecret)
		require.ErrorIs(t, v.Validate(), webhook.ErrNoSecret)
		require.ErrorIs(t, webhook.Signer{Secrets: secrets}.Validate(), webhook.ErrNoSecret)
	}
	require.ErrorIs(t, webhook.Verifier{Secrets: []string{specSecret, ""}}.Validate(), webhook.ErrSecret)
	require.ErrorContains(t, webhook.Verifier{Secrets: []string{specSecret, ""}}.Validate(), "secret 1")
}

func TestFreshSecrets(t *testing.T) {
	t.Parallel()
	a, b := webhook.NewSecret(), webhook.NewSecret()
	assert.NotEqual(t, a, b)
	require.NoError(t, webhook.ValidateSecret(a))
	private, public := webhook.NewKeyPair()
	require.NoError(t, webhook.ValidateSecret(private))
	got, err := webhook.PublicKey(private)
	require.NoError(t, err)
	assert.Equal(t, public, got)
}
