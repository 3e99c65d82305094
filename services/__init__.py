"""The services: inference, attribution, ui. They never import each other."""
