// Last of all: htmx may have looked at the page before its WebSocket extension was loaded. Looking twice does no harm.
htmx.process(document.body);
