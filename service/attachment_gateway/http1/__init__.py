"""HTTP/1.1 over connections of our own. It knows neither Graph nor the gateway."""
