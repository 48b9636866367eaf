package jsonindex

// Member is one member of an object, by offsets in the text.
type Member struct {
	Name, NameEnd uint32 // of the name as written, without its quotes
	From, To      uint32 // of the value
}

// MaxMembers is the largest number of members that the walked object itself may have, since each costs memory.
const MaxMembers = 1 << 16

// Members are the members of the object at root, in their order. root must be the value that Value has walked last; the
// result holds until the next walk. It is nil for a value that is no object, or another one.
func (x *Index) Members(root int) []Member {
	if root != x.root || !x.whole {
		return nil
	}
	return x.members
}
