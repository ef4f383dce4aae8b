"""Picture files in and out: the only room that opens what strangers send.

Here belong sniffing, reading headers, decoding, colours, the tensors of models and
the encoding of answers. Each format has one module that walks its container in Python
and hands the C decoders a file reduced to what the pixels need, so that metadata,
further frames and whatever else hides in a file never reach them. Nothing here knows
models by name, HTTP, or where a picture came from.
"""
