package pooler

// Values are where an entry points.
type Values struct{ Host, Port, DBName string }

// String is such as 10.0.0.5:5432/shop.
func (v Values) String() string { return v.Host + ":" + v.Port + "/" + v.DBName }
