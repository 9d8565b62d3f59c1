package plan

import "strings"

// Direction is the way a switch goes. The zero Direction is Forward.
type Direction string

// A cutover goes forward, a rollback backward: there the target is the side that is left.
const (
	Forward  Direction = ""
	Backward Direction = "back"
)

// From is the side that is left, To the one that takes over.
func (d Direction) From() Side {
	if d == Backward {
		return Target
	}
	return Source
}

// To is the side that takes over.
func (d Direction) To() Side {
	if d == Backward {
		return Source
	}
	return Target
}

// Lane returns the name of what carries the rows of the run in this direction: publication and slot on the side that
// is left, subscription on the other.
func (d Direction) Lane(run RunID) RunID {
	if d == Backward {
		return run.Back()
	}
	return run
}

// Turned returns the other direction.
func (d Direction) Turned() Direction {
	if d == Backward {
		return Forward
	}
	return Backward
}

// Words returns a text that was written for a cutover as it reads for this direction. Texts of servers and names of
// objects must be put in behind it.
func (d Direction) Words(text string) string {
	if d == Backward {
		return turned.Replace(text)
	}
	return text
}

var turned = strings.NewReplacer(
	"pgleap cutover", "pgleap rollback", "source", "target", "target", "source", "old server", "new server", "new server", "old server",
)
