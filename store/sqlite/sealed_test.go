package sqlite

import (
	"testing"

	"github.com/interactorhq/interactor/store/storetest"
)

func TestSealed(t *testing.T) {
	t.Parallel()
	storetest.Sealed(t, func(t *testing.T) storetest.Sealing { return openTemp(t) })
}
