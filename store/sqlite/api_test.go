package sqlite

import (
	"path/filepath"
	"testing"

	"github.com/interactorhq/interactor/api"
	"github.com/interactorhq/interactor/store/storetest"
)

func TestAPI(t *testing.T) {
	t.Parallel()
	storetest.API(t, func(t *testing.T) api.Store { return openTest(t, filepath.Join(t.TempDir(), "store.db")) })
}
