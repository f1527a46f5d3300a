package forward

import "container/list"

// bounded is a map that holds at most limit values: of more it forgets the one
// that was not asked for longest. Not safe for concurrent use.
type bounded[K comparable, V any] struct {
	limit  int
	order  list.List // of *entry[K, V], the latest in front
	values map[K]*list.Element
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

func newBounded[K comparable, V any](limit int) *bounded[K, V] {
	return &bounded[K, V]{limit: limit, values: make(map[K]*list.Element)}
}

func (b *bounded[K, V]) get(key K) (value V, ok bool) {
	at, ok := b.values[key]
	if !ok {
		return value, false
	}
	b.order.MoveToFront(at)
	return of[K, V](at).value, true
}

// put adds a key that is not there. It returns what was forgotten for it.
func (b *bounded[K, V]) put(key K, value V) (gone V, some bool) {
	b.values[key] = b.order.PushFront(&entry[K, V]{key, value})
	if b.order.Len() <= b.limit {
		return gone, false
	}
	last := b.order.Back()
	b.order.Remove(last)
	old := of[K, V](last)
	delete(b.values, old.key)
	return old.value, true
}

func of[K comparable, V any](at *list.Element) *entry[K, V] {
	e, _ := at.Value.(*entry[K, V]) // put puts nothing else there
	return e
}
