package webhook_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

func ExampleVerifier_Handler() {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	hook := webhook.Verifier{Secrets: []string{secret}}
	mux := http.NewServeMux()
	mux.Handle("POST /events", hook.Handler(func(_ context.Context, ev trigger.Event) error {
		fmt.Println(ev.Trigger, ev.Account, string(ev.Payload))
		return nil // 204; an error is 500, and the event comes again
	}))

	// What the sender does.
	const body = `{"type":"gmail.email.sent","timestamp":"2026-11-23T15:04:05Z","data":{"event":"evt_1","account":"user-42","payload":{"subject":"Hi"}}}`
	r := httptest.NewRequest(http.MethodPost, "/events", strings.NewReader(body))
	if err := (webhook.Signer{Secrets: []string{secret}}).Sign(r.Header, "evt_1", time.Now(), []byte(body)); err != nil {
		fmt.Println(err)
	}
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	fmt.Println(w.Code)
	// Output:
	// gmail.email.sent user-42 {"subject":"Hi"}
	// 204
}

func ExampleVerifier_Verify() {
	hook := webhook.Verifier{
		Secrets: []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
		Now:     func() time.Time { return time.Unix(1614265330, 0) },
	}
	h := http.Header{}
	h.Set(webhook.HeaderID, "msg_p5jXN8AQM9LWM0D4loKWxJek")
	h.Set(webhook.HeaderTimestamp, "1614265330")
	h.Set(webhook.HeaderSignature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
	fmt.Println(hook.Verify(h, []byte(`{"test": 2432232314}`)))
	fmt.Println(hook.Verify(h, []byte(`{"test": 2432232315}`)))
	// Output:
	// <nil>
	// webhook: no signature matches
}

func ExampleSigner_Sign() {
	signer := webhook.Signer{Secrets: []string{
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",                                                        // v1
		"whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==", // v1a
	}}
	h := http.Header{}
	err := signer.Sign(h, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
	fmt.Println(err)
	for entry := range strings.FieldsSeq(h.Get(webhook.HeaderSignature)) {
		fmt.Println(entry)
	}
	// Output:
	// <nil>
	// v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=
	// v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==
}
