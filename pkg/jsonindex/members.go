package jsonindex

// Member is one member of an object, by offsets in the text.
type Member struct {
	Name, NameEnd uint32 // of the name as written, without its quotes
	From, To      uint32 // of the value
	// Next is the number of the next member of the same object; the members of the value, if it is an object, come
	// before it. Only members of the walked object itself have it.
	Next uint32
	// Many is true where the value's members are too many to be listed.
	Many bool
	// Tag is 0 after the walk; who knows the member may leave a mark for those behind him.
	Tag uint8
}

const (
	// MaxMembers is the largest number of members that the walked object itself may have, since each costs memory.
	MaxMembers = 1 << 16
	// maxKids is the largest number of members that are listed for a member's value.
	maxKids = 1 << 10
)

// Members are the members of the object at root and, behind each, the members of its value: the first number is 0, and
// Next leads from one to the next. root must be the value that Value has walked last; the result holds until the next
// walk. It is nil for a value that is no object, or another one.
func (x *Index) Members(root int) []Member {
	if root != x.root || !x.whole || x.text[root] != '{' {
		return nil
	}
	return x.members
}
