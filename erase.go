package interactor

import (
	"context"
	"time"

	"github.com/interactorhq/interactor/auth"
)

// EraseAccount disconnects everything of an account in an Environment ("" is the
// default one) and erases its events, delivered or not, with all that is kept
// about them. It returns when nothing of them is stored or delivered any longer.
// The order is durable at once: after an error, or when ctx has ended, Run goes on
// with it; see forward.Forwarder.EraseAccount. Access at the provider is revoked,
// and watches and tokens are removed, by Run. What stays is the Connections'
// records, as after Auth.Disconnect, until their Environment is deleted.
func (in *Interactor) EraseAccount(ctx context.Context, environment, account string) error {
	if err := in.prepare(ctx); err != nil {
		return err
	}
	_, err := in.Forwarder.EraseAccount(ctx, environment, account)
	return err
}

// eraseEvery is how often deleted Environments are looked for without a hint.
const eraseEvery = time.Minute

func (in *Interactor) wakeEraser() {
	select {
	case in.deleted <- struct{}{}:
	default:
	}
}

// runEraser cleans up after deleted Environments until ctx ends: their accounts
// are disconnected, and when nothing of them is left the Environment is forgotten.
func (in *Interactor) runEraser(ctx context.Context) error {
	for {
		if err := in.eraseOnce(ctx); err != nil && ctx.Err() == nil {
			in.cfg.log().ErrorContext(ctx, "cleaning up deleted environments failed, will be tried again", "error", err)
		}
		timer := time.NewTimer(eraseEvery)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case <-in.deleted:
			timer.Stop()
		case <-timer.C:
		}
	}
}

func (in *Interactor) eraseOnce(ctx context.Context) error {
	for environment, err := range in.Deployments.Deleted(ctx) {
		if err != nil {
			return err
		}
		left := 0
		for c, err := range in.Auth.Connections(ctx, auth.Query{Environment: environment}) {
			if err != nil {
				return err
			}
			rec, err := in.Auth.Get(ctx, c.ID)
			if err != nil {
				return err
			}
			if rec.Erased {
				continue
			}
			left++
			if c.Status != auth.Revoked {
				if err := in.Auth.Disconnect(ctx, c.ID); err != nil {
					return err
				}
			}
		}
		if left == 0 {
			if err := in.Deployments.Erase(ctx, environment); err != nil {
				return err
			}
		}
	}
	return nil
}
