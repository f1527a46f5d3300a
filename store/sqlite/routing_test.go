package sqlite

import (
	"testing"

	"github.com/interactorhq/interactor/store/storetest"
)

func TestRouting(t *testing.T) {
	t.Parallel()
	storetest.Routing(t, func(t *testing.T) storetest.Routed { return openTemp(t) })
}
