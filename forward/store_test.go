package forward_test

import (
	"testing"
	"time"

	"github.com/interactorhq/interactor/forward"
	"github.com/interactorhq/interactor/internal/id"
	"github.com/interactorhq/interactor/store/storetest"
	"github.com/interactorhq/interactor/trigger"
)

// The Store that these tests run on keeps the rules of the real ones.
func TestMemoryStore(t *testing.T) {
	t.Parallel()
	storetest.Forward(t, func(*testing.T) storetest.Forwarding {
		m := newMemory()
		return storetest.Forwarding{
			Store:   m,
			AddNews: func(_ *testing.T, news ...trigger.Event) { m.addNews(news...) },
			Reopen: func(*testing.T) forward.Store {
				m.reopen()
				return m
			},
			Subscribe: func(_ *testing.T, cursor string) string {
				sub := id.New("sub", time.Now())
				m.cursors[sub] = cursor
				return sub
			},
			Cursor: func(_ *testing.T, sub string) string { return m.cursor(sub) },
			Check:  func(*testing.T) {},
		}
	})
}
