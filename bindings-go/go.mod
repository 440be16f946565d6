module github.com/ssmwire/ssmwire/bindings-go

go 1.24
