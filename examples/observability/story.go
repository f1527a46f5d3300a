package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/interactorhq/interactor/trigger"
	"github.com/interactorhq/interactor/webhook"
)

// send plays a provider until ctx ends: most of what it sends is new, some of it
// comes twice, and some of it somebody else has forged.
func send(ctx context.Context, url, secret string, every time.Duration) error {
	forged := webhook.NewSecret()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		key, id := secret, n
		switch {
		case n%10 == 5:
			id = n - 1 // again
		case n%25 == 7:
			key = forged
		}
		if err := post(ctx, url, key, id); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

func post(ctx context.Context, url, secret string, n int) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	body := fmt.Appendf(nil, `{"order":%d,"total":"19.90"}`, n)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	signer := webhook.Signer{Secrets: []string{secret}}
	if err := signer.Sign(req.Header, fmt.Sprintf("msg_%d", n), time.Now(), body); err != nil {
		return err
	}
	res, err := (&http.Client{}).Do(req)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

// moody is a receiver that is not always in the mood: of ten events it takes nine
// at once.
func moody(hook webhook.Verifier) http.Handler {
	var n atomic.Int64
	return hook.Handler(func(context.Context, trigger.Event) error {
		if n.Add(1)%10 == 0 {
			return errors.New("not now")
		}
		return nil
	})
}
