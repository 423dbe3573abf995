"""A posterior path shot by shot: moved by hand, or by itself.

Contents
    frames       the numbers of each picture
    slider       a widget, and a grid of pictures where widgets do not run
    slider.js    what the widget does in a browser
    animation    a file with one picture after another
    moving       the pictures of a path in it
"""
