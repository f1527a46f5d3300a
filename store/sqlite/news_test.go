package sqlite

import (
	"testing"

	"github.com/interactorhq/interactor/trigger"
)

func (s *Store) waitingNews(t *testing.T) []trigger.Event {
	t.Helper()
	list, err := s.WaitingNews(t.Context(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	return list
}
