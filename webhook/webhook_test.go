package webhook_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

// The vectors of the specification.
const (
	specID      = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	specSeconds = 1614265330
	specBody    = `{"test": 2432232314}`
	specSecret  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	specV1      = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	specPrivate = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	specPublic  = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="
	specV1a     = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
)

func specTime() time.Time { return time.Unix(specSeconds, 0) }

func header(id, timestamp, signature string) http.Header {
	h := http.Header{}
	h.Set(webhook.HeaderID, id)
	h.Set(webhook.HeaderTimestamp, timestamp)
	h.Set(webhook.HeaderSignature, signature)
	return h
}

func specHeader(signature string) http.Header {
	return header(specID, fmt.Sprint(specSeconds), signature)
}

func TestSpecVectors(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name           string
		sign, verify   string
		wantSignature  string
		otherSignature string
	}{
		{"v1", specSecret, specSecret, specV1, specV1a},
		{"v1a", specPrivate, specPublic, specV1a, specV1},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			require.NoError(t, webhook.Signer{Secrets: []string{row.sign}}.Sign(h, specID, specTime(), []byte(specBody)))
			assert.Equal(t, specHeader(row.wantSignature), h)

			v := webhook.Verifier{Secrets: []string{row.verify}, Now: specTime}
			require.NoError(t, v.Verify(h, []byte(specBody)))
			require.ErrorIs(t, v.Verify(specHeader(row.otherSignature), []byte(specBody)), webhook.ErrSignature)
		})
	}
	public, err := webhook.PublicKey(specPrivate)
	require.NoError(t, err)
	assert.Equal(t, specPublic, public)
	_, err = webhook.PublicKey(specSecret)
	require.ErrorIs(t, err, webhook.ErrSecret)
}

// The forwarded request of the documentation, byte for byte.
func TestDocumentedRequest(t *testing.T) {
	t.Parallel()
	const body = `{"type":"gmail.email.sent","timestamp":"2026-11-23T15:04:05Z","data":{"event":"evt_01KATF3V5C8Q2M7XN4R0ZJ6H9D","connector":"gmail","trigger":"gmail.email.sent","account":"user-42","connection":"conn_01KATE9W1B6S0Z3YV8K5QH2T4G","deployment":"dep_01KAR2M8T4J7P5C9XW3D6N1B0E","environment":"env_01KAR2M8T5F2V0H8ZQ7Y4K9S3A","payload":{"id":"19ab3c5d7e9f0a1b","thread_id":"19ab3c5d7e9f0a1b","message_id":"<CAF7x2=Qk@mail.gmail.com>","subject":"Lunch on Friday?","from":{"name":"Alice","email":"alice@example.com"},"to":[{"email":"bob@example.com"}],"date":"2026-11-23T15:04:05Z","labels":["SENT"],"snippet":"Hi Bob, shall we","text":"Hi Bob, shall we?\r\n","attachments":[{"id":"ANGjdJ8w","filename":"menu.pdf","mime_type":"application/pdf","size":48213}],"size":66210}}}`
	ev := trigger.Event{
		ID: "evt_01KATF3V5C8Q2M7XN4R0ZJ6H9D", Trigger: "gmail.email.sent", Connector: "gmail", Account: "user-42",
		Time:       time.Date(2026, 11, 23, 15, 4, 5, 0, time.UTC),
		Connection: "conn_01KATE9W1B6S0Z3YV8K5QH2T4G", Deployment: "dep_01KAR2M8T4J7P5C9XW3D6N1B0E",
		Environment: "env_01KAR2M8T5F2V0H8ZQ7Y4K9S3A",
		Payload:     json.RawMessage(`{"id":"19ab3c5d7e9f0a1b","thread_id":"19ab3c5d7e9f0a1b","message_id":"<CAF7x2=Qk@mail.gmail.com>","subject":"Lunch on Friday?","from":{"name":"Alice","email":"alice@example.com"},"to":[{"email":"bob@example.com"}],"date":"2026-11-23T15:04:05Z","labels":["SENT"],"snippet":"Hi Bob, shall we","text":"Hi Bob, shall we?\r\n","attachments":[{"id":"ANGjdJ8w","filename":"menu.pdf","mime_type":"application/pdf","size":48213}],"size":66210}`),
	}
	got, err := ev.AppendJSON(nil)
	require.NoError(t, err)
	require.Equal(t, body, string(got))

	h := http.Header{}
	at := time.Unix(1795446247, 0)
	require.NoError(t, webhook.Signer{Secrets: []string{specSecret}}.Sign(h, ev.ID, at, got))
	assert.Equal(t, header(ev.ID, "1795446247", "v1,cjNli2p7Qyn7HTsqQVGPaYsfZZObGRrpQM2aLGH0CAM="), h)
}

func TestVerifyRefusesTampering(t *testing.T) {
	t.Parallel()
	set := func(name, value string) func(http.Header) {
		return func(h http.Header) { h.Set(name, value) }
	}
	cut := strings.TrimPrefix(specV1, "v1,")
	for _, row := range []struct {
		name string
		edit func(http.Header)
		body string
		want error
	}{
		{"nothing changed", func(http.Header) {}, specBody, nil},
		{"a byte of the body", func(http.Header) {}, strings.Replace(specBody, "4", "5", 1), webhook.ErrSignature},
		{"a byte more", func(http.Header) {}, specBody + "\n", webhook.ErrSignature},
		{"no body", func(http.Header) {}, "", webhook.ErrSignature},
		{"white space taken out", func(http.Header) {}, `{"test":2432232314}`, webhook.ErrSignature},
		{"another id", set(webhook.HeaderID, "msg_other"), specBody, webhook.ErrSignature},
		{"another second within the tolerance", set(webhook.HeaderTimestamp, fmt.Sprint(specSeconds+1)), specBody, webhook.ErrSignature},
		{"border between id and timestamp moved", func(h http.Header) {
			h.Set(webhook.HeaderID, specID+"."+fmt.Sprint(specSeconds))
		}, specBody, webhook.ErrHeader},
		{"signature cut short", set(webhook.HeaderSignature, specV1[:len(specV1)-4]), specBody, webhook.ErrSignature},
		{"signature without padding", set(webhook.HeaderSignature, strings.TrimSuffix(specV1, "=")), specBody, webhook.ErrSignature},
		{"signature with other trailing bits", set(webhook.HeaderSignature, strings.TrimSuffix(specV1, "E=")+"F="), specBody, webhook.ErrSignature},
		{"signature in the URL alphabet", set(webhook.HeaderSignature, strings.NewReplacer("+", "-", "/", "_").Replace(specV1)), specBody, webhook.ErrSignature},
		{"empty signature", set(webhook.HeaderSignature, "v1,"), specBody, webhook.ErrSignature},
		{"version alone", set(webhook.HeaderSignature, "v1"), specBody, webhook.ErrSignature},
		{"no version", set(webhook.HeaderSignature, cut), specBody, webhook.ErrSignature},
		{"upper case version", set(webhook.HeaderSignature, "V1,"+cut), specBody, webhook.ErrSignature},
		{"right bytes under an unknown version", set(webhook.HeaderSignature, "v2,"+cut), specBody, webhook.ErrSignature},
		{"symmetric bytes as v1a", set(webhook.HeaderSignature, "v1a,"+cut), specBody, webhook.ErrSignature},
		{"unknown versions are ignored", set(webhook.HeaderSignature, "v9,x "+specV1+" v1b,y"), specBody, nil},
		{"malformed entries are ignored", set(webhook.HeaderSignature, "junk v1a,!!! v1,  "+specV1), specBody, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			h := specHeader(specV1)
			row.edit(h)
			err := webhook.Verifier{Secrets: []string{specSecret, specPublic}, Now: specTime}.Verify(h, []byte(row.body))
			if row.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, row.want)
		})
	}
}

func TestVerifyRefusesMalformedHeaders(t *testing.T) {
	t.Parallel()
	seconds := fmt.Sprint(specSeconds)
	for _, row := range []struct {
		name string
		h    http.Header
	}{
		{"none", http.Header{}},
		{"nil", nil},
		{"no id", header("", seconds, specV1)},
		{"no timestamp", header(specID, "", specV1)},
		{"no signature", header(specID, seconds, "")},
		{"blank signature", header(specID, seconds, "   ")},
		{"id with a full stop", header("msg.1", seconds, specV1)},
		{"id with a space", header("msg 1", seconds, specV1)},
		{"id that is not ASCII", header("msg_é", seconds, specV1)},
		{"id too long", header(strings.Repeat("m", 257), seconds, specV1)},
		{"timestamp with a sign", header(specID, "+"+seconds, specV1)},
		{"negative timestamp", header(specID, "-"+seconds, specV1)},
		{"timestamp with a fraction", header(specID, seconds+".5", specV1)},
		{"timestamp in words", header(specID, "now", specV1)},
		{"timestamp in hex", header(specID, "0x1", specV1)},
		{"timestamp with a space", header(specID, " "+seconds, specV1)},
		{"timestamp in milliseconds", header(specID, seconds+"000", specV1)},
		{"timestamp beyond int64", header(specID, strings.Repeat("9", 30), specV1)},
		{"signature header too long", header(specID, seconds, specV1+" "+strings.Repeat("x", 4096))},
		{"too many signatures", header(specID, seconds, strings.Repeat("v2,x ", 32)+specV1)},
		{"id twice", http.Header{"Webhook-Id": {specID, "other"}, "Webhook-Timestamp": {seconds}, "Webhook-Signature": {specV1}}},
		{"timestamp twice", http.Header{"Webhook-Id": {specID}, "Webhook-Timestamp": {seconds, seconds}, "Webhook-Signature": {specV1}}},
		{"signature twice", http.Header{"Webhook-Id": {specID}, "Webhook-Timestamp": {seconds}, "Webhook-Signature": {specV1, specV1}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			err := webhook.Verifier{Secrets: []string{specSecret}, Now: specTime}.Verify(row.h, []byte(specBody))
			require.ErrorIs(t, err, webhook.ErrHeader)
			assert.Less(t, len(err.Error()), 300)
		})
	}
}

func TestVerifyTolerance(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name      string
		tolerance time.Duration
		off       time.Duration // of our clock
		stale     bool
	}{
		{"to the second late", 0, 5 * time.Minute, false},
		{"to the second early", 0, -5 * time.Minute, false},
		{"within the last second", 0, 5*time.Minute + 999*time.Millisecond, false},
		{"a second too late", 0, 5*time.Minute + time.Second, true},
		{"a second too early", 0, -5*time.Minute - time.Second, true},
		{"shorter, inside", time.Second, time.Second, false},
		{"shorter, outside", time.Second, 2 * time.Second, true},
		{"longer", time.Hour, 59 * time.Minute, false},
		{"years", 1<<63 - 1, 24 * 365 * time.Hour, false},
		{"negative accepts nothing", -1, 0, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			v := webhook.Verifier{Secrets: []string{specSecret}, Tolerance: row.tolerance,
				Now: func() time.Time { return specTime().Add(row.off) }}
			err := v.Verify(specHeader(specV1), []byte(specBody))
			if !row.stale {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, webhook.ErrStale)
		})
	}
	t.Run("the clock is time.Now by default", func(t *testing.T) {
		t.Parallel()
		h := http.Header{}
		require.NoError(t, webhook.Signer{Secrets: []string{specSecret}}.Sign(h, "evt_1", time.Now(), nil))
		v := webhook.Verifier{Secrets: []string{specSecret}}
		require.NoError(t, v.Verify(h, nil))
		require.ErrorIs(t, v.Verify(specHeader(specV1), []byte(specBody)), webhook.ErrStale)
	})
}

func TestSeveralSecrets(t *testing.T) {
	t.Parallel()
	former, current := webhook.NewSecret(), webhook.NewSecret()
	private, public := webhook.NewKeyPair()
	h := http.Header{}
	signer := webhook.Signer{Secrets: []string{current, private, former}}
	require.NoError(t, signer.Sign(h, specID, specTime(), []byte(specBody)))
	entries := strings.Split(h.Get(webhook.HeaderSignature), " ")
	require.Len(t, entries, 3)
	assert.True(t, strings.HasPrefix(entries[0], "v1,") && strings.HasPrefix(entries[1], "v1a,") && strings.HasPrefix(entries[2], "v1,"))

	_, otherPublic := webhook.NewKeyPair()
	for _, row := range []struct {
		name    string
		secrets []string
		want    error
	}{
		{"the former one", []string{former}, nil},
		{"the current one", []string{current}, nil},
		{"the public key", []string{public}, nil},
		{"others first", []string{webhook.NewSecret(), otherPublic, former}, nil},
		{"only others", []string{webhook.NewSecret(), otherPublic}, webhook.ErrSignature},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			require.ErrorIs(t, webhook.Verifier{Secrets: row.secrets, Now: specTime}.Verify(h, []byte(specBody)), row.want)
		})
	}
}

// The official library is the other reader and writer of v1.
func TestOfficialLibrary(t *testing.T) {
	t.Parallel()
	for range 20 {
		secret, former := webhook.NewSecret(), webhook.NewSecret()
		theirs, err := standardwebhooks.NewWebhook(secret)
		require.NoError(t, err)
		private, _ := webhook.NewKeyPair()
		body := []byte(`{"n":"` + secret + `"}`)
		now := time.Now()

		h := http.Header{}
		require.NoError(t, webhook.Signer{Secrets: []string{former, private, secret}}.Sign(h, "evt_1", now, body))
		require.NoError(t, theirs.Verify(body, h), "they accept what we sign")

		signature, err := theirs.Sign("evt_1", now, body)
		require.NoError(t, err)
		h = header("evt_1", fmt.Sprint(now.Unix()), signature)
		require.NoError(t, webhook.Verifier{Secrets: []string{secret}}.Verify(h, body), "we accept what they sign")
		require.Error(t, theirs.Verify(append(body, ' '), h))
		require.Error(t, webhook.Verifier{Secrets: []string{former}}.Verify(h, body))
	}
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	good := []string{specSecret}
	for _, row := range []struct {
		name    string
		secrets []string
		id      string
		at      time.Time
		want    error
	}{
		{"no secret", nil, specID, specTime(), webhook.ErrNoSecret},
		{"one bad secret among good ones", []string{specSecret, "whsec_?"}, specID, specTime(), webhook.ErrSecret},
		{"too many secrets", slicesRepeat(specSecret, 17), specID, specTime(), webhook.ErrSecret},
		{"no id", good, "", specTime(), nil},
		{"full stop in the id", good, "a.b", specTime(), nil},
		{"line break in the id", good, "a\r\nX-Evil: 1", specTime(), nil},
		{"id too long", good, strings.Repeat("a", 257), specTime(), nil},
		{"before 1970", good, specID, time.Unix(-1, 0), nil},
		{"zero time", good, specID, time.Time{}, nil},
		{"after 5138", good, specID, time.Unix(1e11, 0), nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{"Kept": {"1"}}
			err := webhook.Signer{Secrets: row.secrets}.Sign(h, row.id, row.at, nil)
			require.Error(t, err)
			if row.want != nil {
				require.ErrorIs(t, err, row.want)
			}
			assert.Equal(t, http.Header{"Kept": {"1"}}, h)
		})
	}
	h := http.Header{}
	require.NoError(t, webhook.Signer{Secrets: slicesRepeat(specPrivate, 16)}.Sign(h, specID, specTime(), nil))
	require.NoError(t, webhook.Verifier{Secrets: []string{specPublic}, Now: specTime}.Verify(h, nil), "what Sign can write, Verify reads")
}

func TestNothingPrintsSecrets(t *testing.T) {
	t.Parallel()
	secret := strings.TrimPrefix(specSecret, "whsec_")
	for _, v := range []any{
		webhook.Signer{Secrets: []string{specSecret}}, &webhook.Signer{Secrets: []string{specSecret}},
		webhook.Verifier{Secrets: []string{specSecret}}, &webhook.Verifier{Secrets: []string{specSecret}},
		struct{ S webhook.Signer }{webhook.Signer{Secrets: []string{specSecret}}},
	} {
		var b bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%t"} {
			fmt.Fprintf(&b, verb+"\n", v)
		}
		assert.NotContains(t, b.String(), fmt.Sprintf("%x", specSecret))
		slog.New(slog.NewTextHandler(&b, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&b, nil)).Info("x", "v", v)
		out, _ := json.Marshal(v)
		b.Write(out)
		assert.NotContains(t, b.String(), secret)
		assert.Contains(t, b.String(), "1 secrets")
	}
}

func slicesRepeat(s string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = s
	}
	return out
}

func BenchmarkSign(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 1024)
	for _, row := range []struct{ name, secret string }{{"v1", specSecret}, {"v1a", specPrivate}} {
		b.Run(row.name, func(b *testing.B) {
			signer, h := webhook.Signer{Secrets: []string{row.secret}}, http.Header{}
			b.ReportAllocs()
			for b.Loop() {
				if err := signer.Sign(h, specID, specTime(), body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerify(b *testing.B) {
	v := webhook.Verifier{Secrets: []string{specSecret}, Now: specTime}
	h := specHeader(specV1)
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Verify(h, []byte(specBody)); err != nil {
			b.Fatal(err)
		}
	}
}
