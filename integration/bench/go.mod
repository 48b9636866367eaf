module github.com/foretop/foretop/integration/bench

go 1.26.0

require github.com/foretop/foretop v0.0.0

replace github.com/foretop/foretop => ../..
